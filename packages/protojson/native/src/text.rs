//! Scalars as JSON text.

use crate::error::{wire, Result};

/// What stands behind the backslash of an escape, by byte; 0 for bytes that need none.
static ESCAPES: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut at = 0;
    while at < 0x20 {
        table[at] = b'u';
        at += 1;
    }
    table[0x08] = b'b';
    table[b'\t' as usize] = b't';
    table[b'\n' as usize] = b'n';
    table[0x0c] = b'f';
    table[b'\r' as usize] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

pub fn check_utf8(text: &[u8]) -> Result<()> {
    if text.is_ascii() || simdutf8::basic::from_utf8(text).is_ok() {
        return Ok(());
    }
    wire("the text is not UTF-8")
}

pub fn string(out: &mut Vec<u8>, text: &[u8]) -> Result<()> {
    check_utf8(text)?;
    out.reserve(text.len() + 2);
    out.push(b'"');
    escaped(out, text);
    out.push(b'"');
    Ok(())
}

#[inline(always)]
fn escaped(out: &mut Vec<u8>, text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&byte| ESCAPES[byte as usize] != 0) {
        out.extend_from_slice(&rest[..at]);
        let byte = rest[at];
        match ESCAPES[byte as usize] {
            b'u' => {
                let digits = [HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
            }
            escape => out.extend_from_slice(&[b'\\', escape]),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

#[inline(always)]
pub fn integer<I: itoa::Integer>(out: &mut Vec<u8>, value: I) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

pub fn quoted<I: itoa::Integer>(out: &mut Vec<u8>, value: I) {
    out.push(b'"');
    integer(out, value);
    out.push(b'"');
}

pub fn double(out: &mut Vec<u8>, value: f64) {
    if value == value.trunc() && value.abs() < 9e15 {
        whole(out, value);
    } else if value.is_finite() {
        float_text(out, ryu::Buffer::new().format_finite(value), value.abs());
    } else {
        special(out, value);
    }
}

pub fn float(out: &mut Vec<u8>, value: f32) {
    if value == value.trunc() && value.abs() < 16_777_216.0 {
        whole(out, f64::from(value));
    } else if value.is_finite() {
        float_text(out, ryu::Buffer::new().format_finite(value), f64::from(value.abs()));
    } else {
        special(out, f64::from(value));
    }
}

fn whole(out: &mut Vec<u8>, value: f64) {
    if value == 0.0 && value.is_sign_negative() {
        // Go writes -0, which Python and others read as an integer without its sign.
        out.extend_from_slice(b"-0.0");
    } else {
        integer(out, value as i64);
    }
}

fn special(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(if value.is_nan() {
        b"\"NaN\""
    } else if value > 0.0 {
        b"\"Infinity\""
    } else {
        b"\"-Infinity\""
    });
}

/// Write shortest digits as Go and JavaScript do: an exponent below 1e-6 and from 1e21 on only.
fn float_text(out: &mut Vec<u8>, text: &str, magnitude: f64) {
    let Some((digits, exponent)) = text.split_once('e') else {
        out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
        return;
    };
    if !(1e-6..1e21).contains(&magnitude) {
        out.extend_from_slice(digits.strip_suffix(".0").unwrap_or(digits).as_bytes());
        out.push(b'e');
        if !exponent.starts_with('-') {
            out.push(b'+');
        }
        out.extend_from_slice(exponent.as_bytes());
        return;
    }
    let unsigned = digits.trim_start_matches('-');
    if unsigned.len() < digits.len() {
        out.push(b'-');
    }
    let (before, after) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let point = before.len() as i32 + exponent.parse::<i32>().unwrap_or(0);
    let all: Vec<u8> = before.bytes().chain(after.bytes()).collect();
    if point <= 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + point.unsigned_abs() as usize, b'0');
        out.extend_from_slice(&all);
    } else if point as usize >= all.len() {
        out.extend_from_slice(&all);
        out.resize(out.len() + point as usize - all.len(), b'0');
    } else {
        out.extend_from_slice(&all[..point as usize]);
        out.push(b'.');
        out.extend_from_slice(&all[point as usize..]);
    }
}

pub fn base64(out: &mut Vec<u8>, data: &[u8]) {
    const ALPHABET: &[u8; 64] =
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.reserve(data.len().div_ceil(3) * 4 + 2);
    out.push(b'"');
    for chunk in data.chunks(3) {
        let mut group = [0u8; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        let mut text = [18, 12, 6, 0].map(|shift| ALPHABET[(bits >> shift & 63) as usize]);
        text[chunk.len() + 1..].fill(b'=');
        out.extend_from_slice(&text);
    }
    out.push(b'"');
}

/// Append the bytes of base64 in either alphabet, padded or not; `None` if it is none.
pub fn from_base64(out: &mut Vec<u8>, text: &[u8]) -> Option<()> {
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    let core = &text[..text.len() - padding];
    if padding > 2 || core.len() % 4 == 1 {
        return None;
    }
    out.reserve(core.len() / 4 * 3 + 2);
    for chunk in core.chunks(4) {
        let mut bits = 0u32;
        for &byte in chunk {
            bits = bits << 6 | digit(byte)?;
        }
        bits <<= 6 * (4 - chunk.len());
        out.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
    }
    Some(())
}

fn digit(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    }))
}

/// Write a path of a field mask in lowerCamelCase; `None` if that would not lead back.
pub fn camel_case(out: &mut Vec<u8>, path: &[u8]) -> Option<()> {
    let mut raise = false;
    for &byte in path {
        match byte {
            b'a'..=b'z' if raise => out.push(byte.to_ascii_uppercase()),
            _ if raise => return None,
            b'A'..=b'Z' => return None,
            b'_' => {}
            _ => out.push(byte),
        }
        raise = byte == b'_';
    }
    (!raise).then_some(())
}

pub fn snake_case(out: &mut Vec<u8>, path: &[u8]) {
    for &byte in path {
        if byte.is_ascii_uppercase() {
            out.push(b'_');
        }
        out.push(byte.to_ascii_lowercase());
    }
}
