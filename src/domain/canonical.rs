//! RFC 8785 (JSON Canonicalization Scheme) for the values that records have. No numbers but integers, so §3.2.2.3 is
//! plain decimal digits.

use std::cmp::Ordering;

use super::value::{Member, Value};

/// Appends the canonical form of `value`.
pub fn write(out: &mut String, value: &Value<'_>) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Integer(integer) => write_integer(out, *integer),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => write_array(out, items),
        Value::Object(members) => write_object(out, members),
    }
}

fn write_array(out: &mut String, items: &[Value<'_>]) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

/// Members are sorted by their names (§3.2.3); small objects on the stack.
fn write_object(out: &mut String, members: &[Member<'_>]) {
    const SMALL: usize = 16;
    let mut small = [0; SMALL];
    let mut large = Vec::new();
    let order: &mut [usize] = if members.len() <= SMALL {
        &mut small[..members.len()]
    } else {
        large.resize(members.len(), 0);
        &mut large
    };
    for (index, slot) in order.iter_mut().enumerate() {
        *slot = index;
    }
    order.sort_unstable_by(|&a, &b| utf16_order(&members[a].0, &members[b].0));
    out.push('{');
    for (place, &index) in order.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        let (name, value) = &members[index];
        write_string(out, name);
        out.push(':');
        write(out, value);
    }
    out.push('}');
}

/// Appends `integer` in decimal.
pub fn write_integer(out: &mut String, integer: i64) {
    if integer < 0 {
        out.push('-');
    }
    write_number(out, integer.unsigned_abs());
}

/// Appends `number` in decimal.
pub fn write_number(out: &mut String, number: u64) {
    const DIGITS_MAX: usize = 20;
    let mut digits = [0_u8; DIGITS_MAX];
    let mut rest = number;
    let mut start = DIGITS_MAX;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.push_str(std::str::from_utf8(&digits[start..]).expect("decimal digits are ASCII"));
}

/// Appends `text` in quotes, escaped as §3.2.2.2 says: only what must be, and in its shortest form.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    if any(text, must_escape) {
        write_escaped(out, text);
    } else {
        out.push_str(text);
    }
    out.push('"');
}

/// Whether any byte is so. It looks at every one, since that is what compilers turn into vector instructions.
fn any(text: &str, is_so: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(false, |found, byte| found | is_so(byte))
}

const fn must_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

#[cold]
fn write_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\0'..='\u{1f}' => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.push_str("\\u00");
                out.push(char::from(HEX[c as usize >> 4]));
                out.push(char::from(HEX[c as usize & 15]));
            }
            _ => out.push(c),
        }
    }
}

/// The order of names: by UTF-16 code units (§3.2.3), which is that of the bytes unless a character lies beyond U+FFFF.
pub fn utf16_order(a: &str, b: &str) -> Ordering {
    const FOUR_BYTES: u8 = 0xF0;
    let beyond = |text: &str| any(text, |byte| byte >= FOUR_BYTES);
    if beyond(a) || beyond(b) { a.encode_utf16().cmp(b.encode_utf16()) } else { a.cmp(b) }
}

/// Appends `name` as a step of a JSON Pointer (RFC 6901 §3), slash included.
pub fn write_pointer_step(out: &mut String, name: &str) {
    out.push('/');
    if any(name, |byte| byte == b'~' || byte == b'/') {
        out.push_str(&name.replace('~', "~0").replace('/', "~1"));
    } else {
        out.push_str(name);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::arbitrary;

    #[test]
    fn names_are_ordered_by_utf16_code_units() {
        // U+1F600 begins with 0xD83D in UTF-16, so it comes before U+FB33 although its code point is greater.
        assert_eq!(utf16_order("\u{1F600}", "\u{FB33}"), Ordering::Less);
        assert_eq!(utf16_order("a", "ab"), Ordering::Less);
    }

    #[test]
    fn a_pointer_step_is_escaped() {
        let mut pointer = String::new();
        write_pointer_step(&mut pointer, "a/b~c");
        assert_eq!(pointer, "/a~1b~0c");
    }

    proptest! {
        #[test]
        fn the_form_is_that_of_another_implementation(json in arbitrary::json()) {
            let mut ours = String::new();
            write(&mut ours, &arbitrary::value(&json));
            prop_assert_eq!(ours, serde_json_canonicalizer::to_string(&json).unwrap());
        }
    }
}
