//! Ports on loopback for servers that start in a moment, and perhaps again later at the same place.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    ops::Range,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Where ports are taken from: above those of well-known services, and below those that the system gives to the near ends
/// of outgoing connections (Linux from 32,768, RFC 6335 from 49,152), so that no connection is in the way of a server that
/// starts again.
const PORTS: Range<u32> = 10_000..32_000;
/// So many ports lie between the places at which two processes with consecutive ids begin to look.
const APART: u32 = 97;

/// How many ports this process has looked at.
static LOOKED_AT: AtomicU32 = AtomicU32::new(0);

/// The first of `count` ports in a row that are free now. Until it has been through all there are, a process is given none
/// twice, however long its server has not listened yet.
pub fn free_ports(count: u16) -> anyhow::Result<u16> {
    free_after(&LOOKED_AT, count)
}

fn free_after(looked_at: &AtomicU32, count: u16) -> anyhow::Result<u16> {
    let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    for _ in PORTS {
        let Some(mut row) = next_row(looked_at, count) else { continue };
        let first = row.start;
        if row.all(free) {
            return Ok(first);
        }
    }
    anyhow::bail!("no {count} ports in a row are free from {} to {}", PORTS.start, PORTS.end - 1)
}

/// Addresses with ports of that kind, all of them different.
pub fn free_addresses<const N: usize>() -> anyhow::Result<[SocketAddr; N]> {
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for address in &mut addresses {
        address.set_port(free_ports(1)?);
    }
    Ok(addresses)
}

/// The ports to look at next, unless they go beyond the end of all.
fn next_row(looked_at: &AtomicU32, count: u16) -> Option<Range<u16>> {
    let begin = process::id().wrapping_mul(APART);
    let place = begin.wrapping_add(looked_at.fetch_add(count.into(), Ordering::Relaxed)) % (PORTS.end - PORTS.start);
    let (first, end) = (PORTS.start + place, PORTS.start + place + u32::from(count));
    (end <= PORTS.end).then_some(u16::try_from(first).ok()?..u16::try_from(end).ok()?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_is_looked_at_twice_before_all_are_through() {
        let (looked_at, mut given) = (AtomicU32::new(0), BTreeSet::new());
        let all = (PORTS.end - PORTS.start) / 3;
        for row in (0..all).filter_map(|_| next_row(&looked_at, 3)) {
            assert!(row.len() == 3 && row.into_iter().all(|port| PORTS.contains(&port.into()) && given.insert(port)));
        }
        assert!(given.len() as u32 + 3 >= all * 3, "at most one row goes beyond the end");
    }

    #[test]
    fn a_port_at_which_somebody_listens_is_not_given() {
        // Where no other test looks.
        let begin = (PORTS.end - PORTS.start) / 2;
        let (first, again) = (AtomicU32::new(begin), AtomicU32::new(begin));
        let listen = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let mine: Vec<TcpListener> = (0..50).map(|_| listen(free_after(&first, 1).unwrap())).collect();
        let given: BTreeSet<u16> = (0..50).map(|_| free_after(&again, 1).unwrap()).collect();
        assert!(again.into_inner() >= begin + 100, "it looked at those, too");
        assert!(mine.iter().all(|one| !given.contains(&one.local_addr().unwrap().port())));
    }
}
