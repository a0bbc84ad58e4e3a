//! The relay against a scripted hub and scripted drivers, on tokio's paused clock: time passes only when nothing else
//! can happen.

mod cancelling;
mod crediting;
mod ending;
mod hub;
mod ordering;
mod retrying;
mod scene;
