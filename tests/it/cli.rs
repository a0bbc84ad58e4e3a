//! Commands as they are typed: what `waybill demo --keep` prints works as printed; what the sample configuration and
//! its page say leads to a hub that serves, and each command against it ends with the code that its help promises.

mod keep;
mod revoked;
mod served;
