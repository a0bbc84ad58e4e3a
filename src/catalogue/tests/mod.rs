//! Tests of the catalogue as a whole: a small one that is right, and each way to get it wrong.

mod agencies;
mod agreements;
mod bounds;
mod demo;
mod digest;
mod lookup;
mod publishing;
mod registers;
mod scene;
mod schemas;
