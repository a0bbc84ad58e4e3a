//! Who may call how often: a rate, an in-flight bound and a much smaller quota of refusals for each system, so that no
//! client can fill the ledger with refusals or the hub with work.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use ahash::HashMap;
use governor::{DefaultDirectRateLimiter, Quota as Rate, RateLimiter, clock::Clock as _};
use parking_lot::RwLock;

use super::CallError;
use crate::{
    catalogue::{Quotas, System},
    domain::quota::refusals_of,
};

/// Defaults for systems to which the catalogue gives no quota of their own.
#[derive(Debug, Clone, Copy)]
pub struct QuotaLimits {
    /// Calls a second.
    pub rate_per_s: NonZeroU32,
    /// Calls at once above the rate.
    pub rate_burst: NonZeroU32,
    /// Refusals a second.
    pub refusals_per_s: NonZeroU32,
    /// Refusals at once above that.
    pub refusals_burst: NonZeroU32,
    /// Calls accepted and not yet answered.
    pub in_flight_max: u32,
}

#[derive(Debug)]
struct Share {
    calls: DefaultDirectRateLimiter,
    refusals: DefaultDirectRateLimiter,
    in_flight: AtomicU32,
    in_flight_max: u32,
    of: Quotas,
}

/// All systems' shares: by the name of a system that the catalogue knows, and by the SAN of one that it lacks.
#[derive(Debug)]
pub(super) struct Quota {
    limits: QuotaLimits,
    shares: RwLock<HashMap<Box<str>, Arc<Share>>>,
}

/// The most systems with a share of their own; those beyond share one. A trust anchor that signs more is misused.
const SHARES_MAX: usize = 10_000;
const OTHERS: &str = "";

/// A call that is admitted, with its place among those in flight if it has one; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    share: Arc<Share>,
    in_flight: bool,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if self.in_flight {
            self.share.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Admitted {
    /// Takes one of the system's refusals, or says when there is one again.
    pub(super) fn refusal(&self) -> Result<(), CallError> {
        check(&self.share.refusals, "too many refused calls")
    }
}

impl Quota {
    pub(super) fn new(limits: QuotaLimits) -> Self {
        Self { limits, shares: RwLock::default() }
    }

    /// Admits one call of `name`, or says when to try again. A system that is known has one share, however it is named.
    pub(super) fn admit(&self, name: &str, system: Option<&System>) -> Result<Admitted, CallError> {
        let share = self.share_of(name, system);
        if share.in_flight.fetch_add(1, Ordering::Relaxed) >= share.in_flight_max {
            share.in_flight.fetch_sub(1, Ordering::Relaxed);
            return Err(CallError::Exhausted {
                what: "too many calls of this system are in flight",
                retry_after: Duration::from_millis(100),
            });
        }
        let admitted = Admitted { share, in_flight: true };
        check(&admitted.share.calls, "over the system's rate")?;
        Ok(admitted)
    }

    /// Admits an answer to what the hub has asked: it has a rate, and needs no place. Questions are bounded, and so are the
    /// answers under way; waiting for a place that only an answer frees would be for ever.
    pub(super) fn admit_answer(&self, name: &str, system: Option<&System>) -> Result<Admitted, CallError> {
        let share = self.share_of(name, system);
        check(&share.calls, "over the system's rate")?;
        Ok(Admitted { share, in_flight: false })
    }

    fn share_of(&self, name: &str, system: Option<&System>) -> Arc<Share> {
        let name = system.map_or(name, |system| system.id.as_str());
        self.share(name, system.map_or_else(Quotas::default, |system| system.quotas))
    }

    fn share(&self, name: &str, of: Quotas) -> Arc<Share> {
        if let Some(share) = self.shares.read().get(name)
            && share.of == of
        {
            return Arc::clone(share);
        }
        let mut shares = self.shares.write();
        let name = if shares.len() < SHARES_MAX { name } else { OTHERS };
        // A share whose quota the catalogue has changed is replaced; calls in flight give back to the old one.
        if let Some(share) = shares.get(name)
            && share.of == of
        {
            return Arc::clone(share);
        }
        let share = Arc::new(Share::new(self.limits, of));
        shares.insert(name.into(), Arc::clone(&share));
        share
    }
}

impl Share {
    fn new(limits: QuotaLimits, of: Quotas) -> Self {
        let rate = |per_s, burst| RateLimiter::direct(Rate::per_second(per_s).allow_burst(burst));
        let (calls_per_s, refusals_per_s) = rates(limits, of);
        Self {
            calls: rate(calls_per_s, own_or(of.rate_burst, limits.rate_burst)),
            refusals: rate(refusals_per_s, own_or(of.refusals_burst, limits.refusals_burst)),
            in_flight: AtomicU32::new(0),
            in_flight_max: of.in_flight_max.unwrap_or(limits.in_flight_max),
            of,
        }
    }
}

fn own_or(own: Option<u32>, configured: NonZeroU32) -> NonZeroU32 {
    own.and_then(NonZeroU32::new).unwrap_or(configured)
}

/// Calls and refusals a second. Where the catalogue says only one of them, nobody has compared it with the other.
fn rates(limits: QuotaLimits, of: Quotas) -> (NonZeroU32, NonZeroU32) {
    let calls = own_or(of.rate_per_s, limits.rate_per_s);
    let most = NonZeroU32::new(refusals_of(calls.get())).unwrap_or(NonZeroU32::MIN);
    (calls, own_or(of.refusals_per_s, limits.refusals_per_s).min(most))
}

fn check(limiter: &DefaultDirectRateLimiter, what: &'static str) -> Result<(), CallError> {
    limiter
        .check()
        .map_err(|not_yet| CallError::Exhausted { what, retry_after: not_yet.wait_time_from(limiter.clock().now()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(burst: u32, refusals: u32, in_flight_max: u32) -> QuotaLimits {
        let number = |value| NonZeroU32::new(value).unwrap();
        QuotaLimits {
            rate_per_s: number(1),
            rate_burst: number(burst),
            refusals_per_s: number(1),
            refusals_burst: number(refusals),
            in_flight_max,
        }
    }

    #[test]
    fn the_burst_is_admitted_and_one_more_is_told_when_to_come_back() {
        let quota = Quota::new(limits(3, 1, 100));
        let admitted: Vec<_> = (0..3).map(|_| quota.admit("a", None).unwrap()).collect();
        let Err(CallError::Exhausted { retry_after, .. }) = quota.admit("a", None) else { panic!("admitted") };
        assert!(retry_after > Duration::ZERO && retry_after <= Duration::from_secs(1));
        assert!(quota.admit("b", None).is_ok(), "another system has a rate of its own");
        drop(admitted);
    }

    #[test]
    fn the_last_place_in_flight_is_given_and_comes_back_when_the_call_ends() {
        let quota = Quota::new(limits(100, 1, 2));
        let first = quota.admit("a", None).unwrap();
        let _second = quota.admit("a", None).unwrap();
        assert!(matches!(quota.admit("a", None), Err(CallError::Exhausted { .. })));
        drop(first);
        assert!(quota.admit("a", None).is_ok());
    }

    #[test]
    fn refusals_run_out_long_before_calls() {
        let quota = Quota::new(limits(100, 2, 100));
        let admitted = quota.admit("a", None).unwrap();
        assert!(admitted.refusal().is_ok() && admitted.refusal().is_ok());
        assert!(matches!(admitted.refusal(), Err(CallError::Exhausted { .. })));
    }

    #[test]
    fn refusals_are_a_tenth_of_the_calls_also_where_the_catalogue_says_only_one_of_them() {
        let number = |number| NonZeroU32::new(number).unwrap();
        let limits = QuotaLimits { rate_per_s: number(20_000), refusals_per_s: number(20), ..limits(100, 1, 1) };
        for (rate_per_s, refusals_per_s, expected) in [
            (None, None, (20_000, 20)),
            (Some(100), None, (100, 10)),
            (Some(1), None, (1, 1)),
            (None, Some(5), (20_000, 5)),
            (None, Some(100_000), (20_000, 2_000)),
            (Some(10_000), Some(1_000), (10_000, 1_000)),
        ] {
            let (calls, refusals) = rates(limits, Quotas { rate_per_s, refusals_per_s, ..Quotas::default() });
            assert_eq!((calls.get(), refusals.get()), expected);
        }
    }

    #[test]
    fn so_many_names_have_shares_of_their_own_and_those_beyond_have_one() {
        let quota = Quota::new(limits(100, 1, 1));
        let _own: Vec<_> = (0..SHARES_MAX).map(|name| quota.admit(&name.to_string(), None).unwrap()).collect();
        let _beyond = quota.admit("beyond", None).unwrap();
        assert!(matches!(quota.admit("also beyond", None), Err(CallError::Exhausted { .. })));
    }

    #[test]
    fn a_known_system_has_one_share_however_it_is_named() {
        let id = crate::domain::agency::SystemId::new("tax/registry").unwrap();
        let (agency, san) = (id.agency(), "urn:waybill:system:tax:registry".to_owned());
        let (acts_for, roles, quotas) = Default::default();
        let system = System { id, agency, san: san.clone(), acts_for, roles, quotas };
        let quota = Quota::new(limits(100, 1, 2));
        let _call = quota.admit(&san, Some(&system)).unwrap();
        let _event = quota.admit("tax/registry", Some(&system)).unwrap();
        assert!(matches!(quota.admit(&san, Some(&system)), Err(CallError::Exhausted { .. })));
        let answer = quota.admit_answer("tax/registry", Some(&system)).unwrap();
        drop(answer);
        assert!(quota.admit(&san, Some(&system)).is_err(), "an answer has no place to give back");
        assert!(quota.admit("urn:waybill:system:tax:other", None).is_ok(), "somebody else");
    }
}
