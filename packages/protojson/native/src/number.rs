//! Numbers out of JSON, exactly.

use crate::error::{problem, Result};
use crate::plan::ty;
use crate::wire as w;

/// More digits before the point than any integer of 64 bits has.
const MAX_MAGNITUDE: i64 = 20;

pub enum Integer {
    Value(i128),
    Fraction,
    TooLarge,
}

/// Read a number that follows JSON's grammar; `1e5` and `1.0` are integers.
#[inline(always)]
pub fn integer(text: &[u8]) -> Integer {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    if digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return slow_integer(negative, digits);
    }
    let value = digits.iter().fold(0i64, |sum, byte| sum * 10 + i64::from(byte - b'0'));
    Integer::Value(i128::from(if negative { -value } else { value }))
}

#[inline(never)]
fn slow_integer(negative: bool, text: &[u8]) -> Integer {
    let (mantissa, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&text[..at], exponent(&text[at + 1..])),
        None => (text, 0),
    };
    let point = mantissa.iter().position(|&byte| byte == b'.').unwrap_or(mantissa.len());
    let mut digits: Vec<u8> = mantissa.iter().copied().filter(|&byte| byte != b'.').collect();
    let zeros = digits.iter().take_while(|&&byte| byte == b'0').count();
    if zeros == digits.len() {
        return Integer::Value(0);
    }
    let significant = digits.len() - digits.iter().rev().take_while(|&&b| b == b'0').count();
    digits.truncate(significant);
    // Digits before the point, counted from the first that is not zero.
    let whole = exponent.saturating_add(point as i64);
    let magnitude = whole.saturating_sub(zeros as i64);
    if magnitude > MAX_MAGNITUDE + 1 {
        return Integer::TooLarge;
    }
    if whole < digits.len() as i64 {
        return Integer::Fraction;
    }
    digits.resize(whole as usize, b'0');
    let value = digits.iter().fold(0i128, |sum, byte| sum * 10 + i128::from(byte - b'0'));
    Integer::Value(if negative { -value } else { value })
}

/// An exponent; where it is absurd, one that is far enough out of range.
fn exponent(text: &[u8]) -> i64 {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let value = digits
        .iter()
        .fold(0i64, |sum, byte| sum.saturating_mul(10).saturating_add(i64::from(byte - b'0')));
    // Half of the range leaves room for what is added to it.
    let value = value.min(i64::MAX / 2);
    if negative {
        -value
    } else {
        value
    }
}

/// Append an integer field's value.
#[inline(always)]
pub fn put(out: &mut Vec<u8>, kind: u8, value: i128) -> Result<()> {
    macro_rules! checked {
        ($type:ty) => {
            match <$type>::try_from(value) {
                Ok(value) => value,
                Err(_) => return problem(format!("Value out of range: {value}")),
            }
        };
    }
    match kind {
        ty::INT32 | ty::ENUM => w::put_varint(out, i64::from(checked!(i32)) as u64),
        ty::INT64 => w::put_varint(out, checked!(i64) as u64),
        ty::UINT32 => w::put_varint(out, u64::from(checked!(u32))),
        ty::UINT64 => w::put_varint(out, checked!(u64)),
        ty::SINT32 => {
            let value = checked!(i32);
            w::put_varint(out, u64::from(((value << 1) ^ (value >> 31)) as u32));
        }
        ty::SINT64 => {
            let value = checked!(i64);
            w::put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
        }
        ty::FIXED32 => out.extend_from_slice(&checked!(u32).to_le_bytes()),
        ty::SFIXED32 => out.extend_from_slice(&checked!(i32).to_le_bytes()),
        ty::FIXED64 => out.extend_from_slice(&checked!(u64).to_le_bytes()),
        ty::SFIXED64 => out.extend_from_slice(&checked!(i64).to_le_bytes()),
        _ => return problem("a field is of no known type"),
    }
    Ok(())
}
