//! Protobuf's wire format: just what printing and parsing JSON need of it.

use crate::error::{wire, Result};
use crate::plan::ty;

pub const VARINT: u8 = 0;
pub const FIXED64: u8 = 1;
pub const BYTES: u8 = 2;
pub const GROUP: u8 = 3;
pub const END: u8 = 4;
pub const FIXED32: u8 = 5;

const MAX_GROUPS: u32 = 100;

pub fn type_of(kind: u8) -> u8 {
    match kind {
        ty::DOUBLE | ty::FIXED64 | ty::SFIXED64 => FIXED64,
        ty::FLOAT | ty::FIXED32 | ty::SFIXED32 => FIXED32,
        ty::STRING | ty::MESSAGE | ty::BYTES => BYTES,
        ty::GROUP => GROUP,
        _ => VARINT,
    }
}

#[inline(always)]
pub fn varint(data: &[u8], at: &mut usize) -> Result<u64> {
    let mut value = 0u64;
    let mut shift = 0;
    loop {
        let Some(&byte) = data.get(*at) else {
            return wire("a number is cut off");
        };
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
        shift += 7;
        if shift > 63 {
            return wire("a number is longer than ten bytes");
        }
    }
}

/// Number and wire type of the field that begins here.
///
/// The number may be 0, which no field has: protobuf refuses it, but not within groups that it does
/// not know, nor in messages without fields. To refuse it is not for who prints.
#[inline(always)]
pub fn tag(data: &[u8], at: &mut usize) -> Result<(u32, u8)> {
    match u32::try_from(varint(data, at)?) {
        Ok(value) => Ok((value >> 3, (value & 7) as u8)),
        Err(_) => wire("a field has no valid number"),
    }
}

#[inline(always)]
pub fn bytes<'b>(data: &'b [u8], at: &mut usize) -> Result<&'b [u8]> {
    let size = varint(data, at)?;
    let end = usize::try_from(size).ok().and_then(|size| at.checked_add(size));
    match end.and_then(|end| data.get(*at..end)) {
        Some(found) => {
            *at += found.len();
            Ok(found)
        }
        None => wire("a field is cut off"),
    }
}

#[inline(always)]
pub fn fixed<'b, const N: usize>(data: &'b [u8], at: &mut usize) -> Result<[u8; N]> {
    match data.get(*at..).and_then(|rest: &'b [u8]| rest.first_chunk::<N>()) {
        Some(found) => {
            *at += N;
            Ok(*found)
        }
        None => wire("a number is cut off"),
    }
}

#[inline(always)]
pub fn skip(data: &[u8], at: &mut usize, number: u32, kind: u8) -> Result<()> {
    match kind {
        VARINT => varint(data, at).map(drop),
        FIXED64 => fixed::<8>(data, at).map(drop),
        BYTES => bytes(data, at).map(drop),
        FIXED32 => fixed::<4>(data, at).map(drop),
        GROUP => group(data, at, number).map(drop),
        _ => wire("a field has no valid type"),
    }
}

/// Pass over a group that has begun; returns where its content ends.
pub fn group(data: &[u8], at: &mut usize, number: u32) -> Result<usize> {
    skip_group(data, at, number, MAX_GROUPS)
}

fn skip_group(data: &[u8], at: &mut usize, number: u32, left: u32) -> Result<usize> {
    if left == 0 {
        return wire("groups are nested too deeply");
    }
    loop {
        let end = *at;
        let (inner, kind) = tag(data, at)?;
        match kind {
            END if inner == number => return Ok(end),
            END => return wire("a group ends that has not begun"),
            GROUP => skip_group(data, at, inner, left - 1).map(drop)?,
            _ => skip(data, at, inner, kind)?,
        }
    }
}

pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub fn put_tag(out: &mut Vec<u8>, number: u32, kind: u8) {
    put_varint(out, u64::from(number) << 3 | u64::from(kind));
}

pub fn put_bytes(out: &mut Vec<u8>, data: &[u8]) {
    put_varint(out, data.len() as u64);
    out.extend_from_slice(data);
}

/// Reserve the length of what follows; `end` fills it in.
#[inline(always)]
pub fn begin(out: &mut Vec<u8>) -> usize {
    out.push(0);
    out.len()
}

#[inline(always)]
pub fn end(out: &mut Vec<u8>, start: usize) {
    let size = out.len() - start;
    if size < 0x80 {
        out[start - 1] = size as u8;
    } else {
        widen(out, start, size);
    }
}

fn widen(out: &mut Vec<u8>, start: usize, size: usize) {
    let mut length = Vec::with_capacity(10);
    put_varint(&mut length, size as u64);
    let stop = out.len();
    out.resize(stop + length.len() - 1, 0);
    out.copy_within(start..stop, start - 1 + length.len());
    out[start - 1..start - 1 + length.len()].copy_from_slice(&length);
}

pub fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Seconds and nanos of a Timestamp or a Duration.
pub fn seconds_and_nanos(data: &[u8]) -> Result<(i64, i64)> {
    let (mut seconds, mut nanos, mut at) = (0, 0, 0);
    while at < data.len() {
        match tag(data, &mut at)? {
            (1, VARINT) => seconds = varint(data, &mut at)? as i64,
            (2, VARINT) => nanos = i64::from(varint(data, &mut at)? as i32),
            (number, kind) => skip(data, &mut at, number, kind)?,
        }
    }
    Ok((seconds, nanos))
}

/// Two fields of bytes with numbers 1 and 2, as entries of a Struct and an Any have them.
pub fn two_fields(data: &[u8]) -> Result<(&[u8], &[u8])> {
    let (mut first, mut second): (&[u8], &[u8]) = (b"", b"");
    let mut at = 0;
    while at < data.len() {
        match tag(data, &mut at)? {
            (1, BYTES) => first = bytes(data, &mut at)?,
            (2, BYTES) => second = bytes(data, &mut at)?,
            (number, kind) => skip(data, &mut at, number, kind)?,
        }
    }
    Ok((first, second))
}
