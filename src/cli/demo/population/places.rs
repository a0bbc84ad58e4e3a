//! Addresses in a country that does not exist (ZZ), and some abroad, as objects of the `address` definition.

use fastrand::Rng;
use serde_json::{Value, json};

/// An address in the country, and where it lies.
pub(super) struct Place {
    pub(super) address: Value,
    pub(super) geometry: Value,
}

pub(super) fn domestic(rng: &mut Rng) -> Place {
    let town = &TOWNS[rng.usize(..TOWNS.len())];
    let street = STREETS[rng.usize(..STREETS.len())];
    let house = match rng.u8(0..4) {
        0 => format!("{}, flat {}", rng.u16(1..200), rng.u8(1..30)),
        1 => format!("{}{}", rng.u16(1..200), ['a', 'b', 'c'][rng.usize(..3)]),
        _ => rng.u16(1..200).to_string(),
    };
    let post_code = format!("{}{:02}", town.codes, rng.u8(0..100));
    // Millionths of a degree around the town's centre, as integers: no fraction is ever rounded.
    let [latitude, longitude] = town.centre.map(|degrees| degrees * 1_000_000 + rng.i64(-40_000..=40_000));
    Place {
        address: json!({
            "fullAddress": format!("{street} {house}\n{post_code} {}", town.name),
            "thoroughfare": street,
            "locatorDesignator": house,
            "postName": town.name,
            "postCode": post_code,
            "adminUnitL1": "ZZ",
            "adminUnitL2": town.region,
            "addressID": format!("ZZ-A-{post_code}-{:06}", rng.u32(0..1_000_000)),
        }),
        geometry: json!({ "latitude": degrees(latitude), "longitude": degrees(longitude) }),
    }
}

/// In a country that has no postcodes.
pub(super) fn without_postcode(rng: &mut Rng) -> Value {
    let (country, town, street) = ABROAD[rng.usize(..ABROAD.len())];
    let house = rng.u16(1..90).to_string();
    json!({
        "fullAddress": format!("{house} {street}, {town}"),
        "thoroughfare": street,
        "locatorDesignator": house,
        "postName": town,
        "adminUnitL1": country,
    })
}

/// The name of the town that a domestic address or a day centre is in.
pub(super) fn town(rng: &mut Rng) -> &'static str {
    TOWNS[rng.usize(..TOWNS.len())].name
}

fn degrees(millionths: i64) -> String {
    let sign = if millionths < 0 { "-" } else { "" };
    let magnitude = millionths.unsigned_abs();
    format!("{sign}{}.{:06}", magnitude / 1_000_000, magnitude % 1_000_000)
}

struct Town {
    name: &'static str,
    region: &'static str,
    /// The first three digits of its postcodes.
    codes: u16,
    /// Latitude and longitude in whole degrees: in the middle of the North Atlantic.
    centre: [i64; 2],
}

#[rustfmt::skip]
const TOWNS: [Town; 12] = [
    Town { name: "Lindmark", region: "North Shore", codes: 204, centre: [46, -30] },
    Town { name: "Osterby", region: "Lakeland", codes: 310, centre: [47, -31] },
    Town { name: "Waldau", region: "Upper Vale", codes: 412, centre: [45, -32] },
    Town { name: "Saint-Clair-les-Eaux", region: "Upper Vale", codes: 417, centre: [45, -31] },
    Town { name: "Porto Fermo", region: "South Shore", codes: 520, centre: [44, -30] },
    Town { name: "Kallaste", region: "North Shore", codes: 209, centre: [47, -29] },
    Town { name: "Brodník", region: "Lakeland", codes: 318, centre: [47, -32] },
    Town { name: "Vila Nova do Cabo", region: "South Shore", codes: 533, centre: [43, -30] },
    Town { name: "Hoogwaard", region: "Delta", codes: 605, centre: [46, -28] },
    Town { name: "Żurawiec", region: "Lakeland", codes: 322, centre: [48, -31] },
    Town { name: "Nýhöfn", region: "Outer Isles", codes: 701, centre: [49, -27] },
    Town { name: "Baile an Chuain", region: "Outer Isles", codes: 707, centre: [49, -26] },
];

const STREETS: [&str; 20] = [
    "Ferry Lane",
    "Mill Street",
    "Station Road",
    "Quay Street",
    "Church Hill",
    "Rue des Tanneurs",
    "Lindenallee",
    "Calle del Molino",
    "Via dei Mercanti",
    "Skolgatan",
    "Ulica Długa",
    "Rua da Praia",
    "Havnegade",
    "Kirkkokatu",
    "Am Alten Markt",
    "Dorpsstraat",
    "Strada Mare",
    "Sráid na Cé",
    "Tulika tänav",
    "L'Orangerie",
];

/// Country, town, street.
const ABROAD: [(&str, &str, &str); 4] = [
    ("KE", "Nairobi", "Moi Avenue"),
    ("AE", "Dubai", "Al Wasl Road"),
    ("GH", "Accra", "Oxford Street"),
    ("HK", "Kowloon", "Nathan Road"),
];
