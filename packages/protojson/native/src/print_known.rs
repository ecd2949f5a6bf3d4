//! Maps and well-known types to JSON text.

use crate::error::{problem, show, Failure, Kind, Result};
use crate::plan::{ty, Field, Form};
use crate::print::{Printer, MAX_DEPTH};
use crate::{text, wire as w};

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key<'b> {
    Signed(i64),
    Unsigned(u64),
    Text(&'b [u8]),
}

impl<'p> Printer<'p> {
    pub(crate) fn map(
        &mut self,
        field: &Field,
        data: &[u8],
        from: usize,
        to: usize,
        depth: u32,
    ) -> Result<bool> {
        let plan = self.plan;
        let [keys, values] = &plan.messages[field.sub as usize].fields[..] else {
            return problem("a map has no key or no value");
        };
        let mut entries = Vec::with_capacity(to - from);
        for at in from..to {
            let found = self.found[at];
            if found.kind == w::BYTES {
                let mut start = found.start as usize;
                entries.extend(entry(keys, values, w::bytes(data, &mut start)?)?);
            }
        }
        // In order, because the hash order of a map would give equal messages different bytes.
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        self.out.push(b'{');
        let mut first = true;
        for at in 0..entries.len() {
            let (key, entry) = &entries[at];
            if entries.get(at + 1).is_some_and(|next| next.0 == *key) {
                continue; // the last entry of a key counts
            }
            let mark = self.out.len();
            if !first {
                self.out.push(b',');
            }
            self.key(keys, key)?;
            let stop = self.out.len();
            self.out.push(b':');
            if self.entry_value(values, entry, depth).map_err(|failure| {
                let label = String::from_utf8_lossy(&self.out[mark + usize::from(!first)..stop]);
                failure.within(format!("[{label}]"))
            })? {
                first = false;
            } else {
                self.out.truncate(mark);
            }
        }
        self.out.push(b'}');
        Ok(!first)
    }

    fn key(&mut self, keys: &Field, key: &Key) -> Result<()> {
        match key {
            Key::Text(key) => text::string(&mut self.out, key)?,
            Key::Signed(key) => text::quoted(&mut self.out, *key),
            Key::Unsigned(key) if keys.ty == ty::BOOL => {
                let word: &[u8] = if *key == 0 { b"\"false\"" } else { b"\"true\"" };
                self.out.extend_from_slice(word);
            }
            Key::Unsigned(key) => text::quoted(&mut self.out, *key),
        }
        Ok(())
    }

    fn entry_value(&mut self, values: &Field, entry: &[u8], depth: u32) -> Result<bool> {
        let wanted = w::type_of(values.ty);
        let (mut at, mut place) = (0, None);
        while at < entry.len() {
            let (number, kind) = w::tag(entry, &mut at)?;
            if (number, kind) == (2, wanted) {
                place = Some(at);
            }
            w::skip(entry, &mut at, number, kind)?;
        }
        if values.ty == ty::MESSAGE {
            let body = match place {
                Some(mut place) => w::bytes(entry, &mut place)?,
                None => b"",
            };
            self.message(values.sub, body, depth + 1)?;
            return Ok(true);
        }
        match place {
            Some(place) => Ok(self.scalar(values, entry, place)?.0),
            None => Ok(self.scalar(values, &[0; 8], 0)?.0),
        }
    }

    pub(crate) fn wrapper(&mut self, field: &Field, data: &[u8]) -> Result<()> {
        let (mut at, mut place) = (0, None);
        while at < data.len() {
            let (number, kind) = w::tag(data, &mut at)?;
            if (number, kind) == (1, w::type_of(field.ty)) {
                place = Some(at);
            }
            w::skip(data, &mut at, number, kind)?;
        }
        match place {
            Some(place) => self.scalar(field, data, place)?,
            None => self.scalar(field, &[0; 8], 0)?,
        };
        Ok(())
    }

    pub(crate) fn field_mask(&mut self, data: &[u8]) -> Result<()> {
        self.out.push(b'"');
        let (mut at, mut first) = (0, true);
        while at < data.len() {
            let (number, kind) = w::tag(data, &mut at)?;
            if (number, kind) != (1, w::BYTES) {
                w::skip(data, &mut at, number, kind)?;
                continue;
            }
            let path = w::bytes(data, &mut at)?;
            if !first {
                self.out.push(b',');
            }
            first = false;
            let start = self.out.len();
            if text::camel_case(&mut self.out, path).is_none() {
                let path = show(path);
                return problem(format!(
                    "field mask path {path} has no JSON form: use lower_snake_case"
                ));
            }
            // Quotes and control characters are escaped only here, where they are rare.
            let camel = self.out.split_off(start);
            text::string(&mut self.out, &camel)?;
            self.out.pop();
            self.out.remove(start);
        }
        self.out.push(b'"');
        Ok(())
    }

    pub(crate) fn structure(&mut self, data: &[u8], depth: u32) -> Result<()> {
        let mut entries = Vec::new();
        let mut at = 0;
        while at < data.len() {
            match w::tag(data, &mut at)? {
                (1, w::BYTES) => entries.push(w::two_fields(w::bytes(data, &mut at)?)?),
                (number, kind) => w::skip(data, &mut at, number, kind)?,
            }
        }
        entries.sort_by_key(|entry| entry.0);
        self.out.push(b'{');
        let mut first = true;
        for (at, (key, value)) in entries.iter().enumerate() {
            if entries.get(at + 1).is_some_and(|next| next.0 == *key) {
                continue;
            }
            if !first {
                self.out.push(b',');
            }
            first = false;
            text::string(&mut self.out, key)?;
            self.out.push(b':');
            self.value(value, depth + 1)
                .map_err(|failure| failure.within(String::from_utf8_lossy(key)))?;
        }
        self.out.push(b'}');
        Ok(())
    }

    pub(crate) fn list_value(&mut self, data: &[u8], depth: u32) -> Result<()> {
        self.out.push(b'[');
        let (mut at, mut count) = (0, 0);
        while at < data.len() {
            let (number, kind) = w::tag(data, &mut at)?;
            if (number, kind) != (1, w::BYTES) {
                w::skip(data, &mut at, number, kind)?;
                continue;
            }
            if count > 0 {
                self.out.push(b',');
            }
            let value = w::bytes(data, &mut at)?;
            self.value(value, depth + 1)
                .map_err(|failure| failure.within(format!("[{count}]")))?;
            count += 1;
        }
        self.out.push(b']');
        Ok(())
    }

    pub(crate) fn value(&mut self, data: &[u8], depth: u32) -> Result<()> {
        if depth > MAX_DEPTH {
            return problem("the message is nested too deeply");
        }
        let (mut at, mut last) = (0, (0, w::VARINT, 0));
        while at < data.len() {
            let (number, kind) = w::tag(data, &mut at)?;
            last = (number, kind, at);
            w::skip(data, &mut at, number, kind)?;
        }
        let (number, kind, mut at) = last;
        match (number, kind) {
            (2, w::FIXED64) => {
                let number = f64::from_le_bytes(w::fixed(data, &mut at)?);
                if !number.is_finite() {
                    let name = if number.is_nan() {
                        "NaN"
                    } else if number > 0.0 {
                        "Infinity"
                    } else {
                        "-Infinity"
                    };
                    return problem(format!("google.protobuf.Value cannot hold {name} in JSON"));
                }
                text::double(&mut self.out, number);
            }
            (3, w::BYTES) => text::string(&mut self.out, w::bytes(data, &mut at)?)?,
            (4, w::VARINT) => {
                let word: &[u8] = if w::varint(data, &mut at)? == 0 { b"false" } else { b"true" };
                self.out.extend_from_slice(word);
            }
            (5, w::BYTES) => self.structure(w::bytes(data, &mut at)?, depth + 1)?,
            (6, w::BYTES) => self.list_value(w::bytes(data, &mut at)?, depth + 1)?,
            _ => self.out.extend_from_slice(b"null"),
        }
        Ok(())
    }

    pub(crate) fn any(&mut self, data: &[u8], depth: u32) -> Result<()> {
        let (url, content) = w::two_fields(data)?;
        if url.is_empty() && content.is_empty() {
            self.out.extend_from_slice(b"{}");
            return Ok(());
        }
        text::check_utf8(url)?;
        let name = String::from_utf8_lossy(url.rsplit(|&byte| byte == b'/').next().unwrap_or(url));
        let Some(&index) = self.plan.names.get(&*name) else {
            let shown = show(name.as_bytes());
            let text = format!("Any holds {shown}: import its generated module");
            return Err(Failure::new(Kind::NeedType, text).about(name));
        };
        self.out.extend_from_slice(b"{\"@type\":");
        text::string(&mut self.out, url)?;
        let plan = self.plan;
        let message = &plan.messages[index as usize];
        let written = if message.form == Form::Plain {
            self.fields(message, index, content, depth + 1, false)
        } else {
            self.out.extend_from_slice(b",\"value\":");
            self.message(index, content, depth + 1)
        };
        written.map_err(|failure| match failure.kind {
            Kind::Wire => {
                Failure::new(Kind::Problem, format!("Any holds bytes that are no {name}"))
            }
            _ => failure,
        })?;
        self.out.push(b'}');
        Ok(())
    }
}

/// Key of a map's entry, and the entry; `None` for one that holds anything else, which protobuf
/// takes for an unknown field.
fn entry<'b>(
    keys: &Field,
    values: &Field,
    entry: &'b [u8],
) -> Result<Option<(Key<'b>, &'b [u8])>> {
    let wanted = w::type_of(keys.ty);
    let (mut at, mut place) = (0, None);
    while at < entry.len() {
        let (number, kind) = w::tag(entry, &mut at)?;
        if (number, kind) == (1, wanted) {
            place = Some(at);
        } else if (number, kind) != (2, w::type_of(values.ty)) {
            return Ok(None);
        }
        w::skip(entry, &mut at, number, kind)?;
    }
    let (data, mut at): (&[u8], usize) = match place {
        Some(place) => (entry, place),
        None => (&[0; 8], 0),
    };
    let key = match keys.ty {
        ty::STRING if place.is_none() => Key::Text(b""),
        ty::STRING => Key::Text(w::bytes(entry, &mut at)?),
        ty::INT32 => Key::Signed(i64::from(w::varint(data, &mut at)? as i32)),
        ty::INT64 => Key::Signed(w::varint(data, &mut at)? as i64),
        ty::SINT32 => Key::Signed(w::zigzag(u64::from(w::varint(data, &mut at)? as u32))),
        ty::SINT64 => Key::Signed(w::zigzag(w::varint(data, &mut at)?)),
        ty::UINT32 => Key::Unsigned(u64::from(w::varint(data, &mut at)? as u32)),
        ty::SFIXED32 => Key::Signed(i64::from(i32::from_le_bytes(w::fixed(data, &mut at)?))),
        ty::SFIXED64 => Key::Signed(i64::from_le_bytes(w::fixed(data, &mut at)?)),
        ty::FIXED32 => Key::Unsigned(u64::from(u32::from_le_bytes(w::fixed(data, &mut at)?))),
        ty::FIXED64 => Key::Unsigned(u64::from_le_bytes(w::fixed(data, &mut at)?)),
        ty::BOOL => Key::Unsigned(u64::from(w::varint(data, &mut at)? != 0)),
        _ => Key::Unsigned(w::varint(data, &mut at)?),
    };
    Ok(Some((key, entry)))
}
