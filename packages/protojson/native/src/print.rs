//! Wire bytes to JSON text.

use crate::error::{problem, wire, Failure, Kind, Result};
use crate::plan::{ty, Enum, Field, Form, Message, Plan};
use crate::{text, times, wire as w};

/// Deeper messages are refused before the stack is at risk.
pub(crate) const MAX_DEPTH: u32 = 200;

/// Prints messages; `last_word` tells that the plan knows all extensions there are.
pub struct Printer<'p> {
    pub(crate) plan: &'p Plan,
    pub out: Vec<u8>,
    pub(crate) found: Vec<Found>,
    last_word: bool,
}

/// One occurrence of a field: which, and where its value is.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    slot: u32,
    pub(crate) kind: u8,
    pub(crate) start: u32,
    stop: u32,
}

impl<'p> Printer<'p> {
    pub fn new(plan: &'p Plan, size: usize, last_word: bool) -> Self {
        let out = Vec::with_capacity(size * 3 + 64);
        Printer { plan, out, found: Vec::with_capacity(64), last_word }
    }

    pub fn message(&mut self, index: u32, data: &[u8], depth: u32) -> Result<()> {
        if depth > MAX_DEPTH {
            return problem("the message is nested too deeply");
        }
        let plan = self.plan;
        let message = &plan.messages[index as usize];
        match message.form {
            Form::Plain | Form::Empty => {
                self.out.push(b'{');
                self.fields(message, index, data, depth, true)?;
                self.out.push(b'}');
                Ok(())
            }
            Form::Timestamp => {
                let (seconds, nanos) = w::seconds_and_nanos(data)?;
                times::put_timestamp(&mut self.out, seconds, nanos)
            }
            Form::Duration => {
                let (seconds, nanos) = w::seconds_and_nanos(data)?;
                times::put_duration(&mut self.out, seconds, nanos)
            }
            Form::FieldMask => self.field_mask(data),
            Form::Wrapper => self.wrapper(&message.fields[0], data),
            Form::Struct => self.structure(data, depth),
            Form::Value => self.value(data, depth),
            Form::ListValue => self.list_value(data, depth),
            Form::Any => self.any(data, depth),
        }
    }

    /// Write the members of a message in the order of its plan, whatever order they came in.
    pub(crate) fn fields(
        &mut self,
        message: &'p Message,
        index: u32,
        data: &[u8],
        depth: u32,
        mut first: bool,
    ) -> Result<()> {
        let base = self.found.len();
        if message.message_set {
            self.find_items(message, index, data)?;
        } else {
            self.find(message, index, data)?;
        }
        if !message.oneofs.is_empty() {
            self.keep_last_choices(message, base);
        }
        if !self.found[base..].is_sorted_by_key(|found| found.slot) {
            self.found[base..].sort_by_key(|found| found.slot);
        }
        let stop = self.found.len();
        let (mut at, mut next) = (base, 0);
        while at < stop {
            let slot = self.found[at].slot as usize;
            let same = self.found[at..stop].iter().take_while(|f| f.slot as usize == slot).count();
            for field in &message.fields[next..slot] {
                self.unset(field, &mut first);
            }
            next = slot + 1;
            let field = &message.fields[slot];
            let mark = self.out.len();
            if !first {
                self.out.push(b',');
            }
            self.out.extend_from_slice(&field.key);
            let written = self
                .field(field, data, at, at + same, depth)
                .map_err(|failure| failure.within(field.label.as_str()))?;
            if written {
                first = false;
            } else {
                self.out.truncate(mark);
                self.unset(field, &mut first);
            }
            at += same;
        }
        self.found.truncate(base);
        for field in &message.fields[next..] {
            self.unset(field, &mut first);
        }
        Ok(())
    }

    #[inline(always)]
    fn unset(&mut self, field: &Field, first: &mut bool) {
        if let Some(text) = &field.unset {
            if !*first {
                self.out.push(b',');
            }
            *first = false;
            self.out.extend_from_slice(text);
        }
    }

    #[inline(always)]
    fn find(&mut self, message: &Message, index: u32, data: &[u8]) -> Result<()> {
        let mut at = 0;
        while at < data.len() {
            let (number, kind) = w::tag(data, &mut at)?;
            let start = at;
            let stop = if kind == w::GROUP {
                w::group(data, &mut at, number)?
            } else {
                w::skip(data, &mut at, number, kind)?;
                at
            };
            match message.slot(number) {
                Some(slot) => self.note(slot, kind, start, stop)?,
                None => self.unknown(message, index)?,
            }
        }
        Ok(())
    }

    /// Find the items of a MessageSet: groups of a type number and a message.
    fn find_items(&mut self, message: &Message, index: u32, data: &[u8]) -> Result<()> {
        let mut at = 0;
        while at < data.len() {
            let (number, kind) = w::tag(data, &mut at)?;
            if (number, kind) != (1, w::GROUP) {
                w::skip(data, &mut at, number, kind)?;
                continue;
            }
            let (mut type_id, mut content) = (0, None);
            loop {
                match w::tag(data, &mut at)? {
                    (1, w::END) => break,
                    (2, w::VARINT) => type_id = w::varint(data, &mut at)? as u32,
                    (3, w::BYTES) => {
                        let start = at;
                        w::bytes(data, &mut at)?;
                        content = Some((start, at));
                    }
                    (number, kind) => w::skip(data, &mut at, number, kind)?,
                }
            }
            if let Some((start, stop)) = content {
                match message.slot(type_id) {
                    Some(slot) => self.note(slot, w::BYTES, start, stop)?,
                    None => self.unknown(message, index)?,
                }
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn note(&mut self, slot: u32, kind: u8, start: usize, stop: usize) -> Result<()> {
        let (Ok(start), Ok(stop)) = (u32::try_from(start), u32::try_from(stop)) else {
            return problem("the message is larger than 4 GiB");
        };
        self.found.push(Found { slot, kind, start, stop });
        Ok(())
    }

    fn unknown(&self, message: &Message, index: u32) -> Result<()> {
        if message.extendable && !self.last_word {
            let failure = Failure::new(Kind::NeedExtensions, "extensions are not known");
            return Err(failure.about(index.to_string()));
        }
        Ok(())
    }

    /// Drop all members of a oneof but the last; only bytes of other programs have several.
    ///
    /// What has not the wire type of its field is none of them: protobuf does not know it.
    fn keep_last_choices(&mut self, message: &Message, base: usize) {
        let mut last = vec![None; message.oneofs.len()];
        let mut several = false;
        for found in &self.found[base..] {
            let field = &message.fields[found.slot as usize];
            if found.kind != w::type_of(field.ty) {
                continue;
            }
            if let Ok(oneof) = usize::try_from(field.oneof) {
                several |= last[oneof].is_some_and(|slot| slot != found.slot);
                last[oneof] = Some(found.slot);
            }
        }
        if several {
            let kept = self.found.split_off(base);
            self.found.extend(kept.into_iter().filter(|found| {
                usize::try_from(message.fields[found.slot as usize].oneof)
                    .map_or(true, |oneof| last[oneof] == Some(found.slot))
            }));
        }
    }

    /// Write the value of one field from all its occurrences; `false` if there is none to write.
    fn field(
        &mut self,
        field: &'p Field,
        data: &[u8],
        from: usize,
        to: usize,
        depth: u32,
    ) -> Result<bool> {
        if field.map {
            return self.map(field, data, from, to, depth);
        }
        let of_messages = matches!(field.ty, ty::MESSAGE | ty::GROUP);
        if field.repeated {
            return if of_messages {
                self.message_list(field, data, from, to, depth)
            } else {
                self.scalar_list(field, data, from, to)
            };
        }
        if of_messages {
            return self.single_message(field, data, from, to, depth);
        }
        for at in (from..to).rev() {
            let found = self.found[at];
            if found.kind != w::type_of(field.ty) {
                continue;
            }
            let value = &data[found.start as usize..found.stop as usize];
            if self.is_empty(field, value) || self.scalar(field, data, found.start as usize)?.0 {
                return Ok(!self.is_empty(field, value));
            }
        }
        Ok(false)
    }

    /// Tell whether a field without presence holds its zero, which other programs may write.
    fn is_empty(&self, field: &Field, value: &[u8]) -> bool {
        !field.presence && field.unset.is_none() && value.iter().all(|&byte| byte == 0)
    }

    fn single_message(
        &mut self,
        field: &Field,
        data: &[u8],
        from: usize,
        to: usize,
        depth: u32,
    ) -> Result<bool> {
        let mut parts = Vec::new();
        for at in from..to {
            if let Some(body) = self.body(field, data, at)? {
                if from + 1 == to {
                    self.message(field.sub, body, depth + 1)?;
                    return Ok(true);
                }
                parts.push(body);
            }
        }
        if !parts.is_empty() {
            // Occurrences of one message are merged, which is what joining their bytes does.
            self.message(field.sub, &parts.concat(), depth + 1)?;
        }
        Ok(!parts.is_empty())
    }

    /// The bytes of a message at an occurrence; `None` if it has another wire type.
    #[inline(always)]
    fn body<'b>(&self, field: &Field, data: &'b [u8], at: usize) -> Result<Option<&'b [u8]>> {
        let found = self.found[at];
        let (mut start, stop) = (found.start as usize, found.stop as usize);
        match found.kind {
            w::BYTES if field.ty == ty::MESSAGE => Ok(Some(w::bytes(data, &mut start)?)),
            w::GROUP if field.ty == ty::GROUP => Ok(Some(&data[start..stop])),
            _ => Ok(None),
        }
    }

    fn message_list(
        &mut self,
        field: &Field,
        data: &[u8],
        from: usize,
        to: usize,
        depth: u32,
    ) -> Result<bool> {
        self.out.push(b'[');
        let mut count = 0;
        for at in from..to {
            let Some(body) = self.body(field, data, at)? else { continue };
            if count > 0 {
                self.out.push(b',');
            }
            self.message(field.sub, body, depth + 1)
                .map_err(|failure| failure.within(format!("[{count}]")))?;
            count += 1;
        }
        self.out.push(b']');
        Ok(count > 0)
    }

    fn scalar_list(&mut self, field: &Field, data: &[u8], from: usize, to: usize) -> Result<bool> {
        self.out.push(b'[');
        let mut count = 0;
        let kind = w::type_of(field.ty);
        for at in from..to {
            let found = self.found[at];
            let (mut start, mut stop) = (found.start as usize, found.stop as usize);
            if found.kind == w::BYTES && kind != w::BYTES {
                let packed = w::bytes(data, &mut start)?.len();
                (start, stop) = (stop - packed, stop);
            } else if found.kind != kind {
                continue;
            }
            while start < stop {
                let mark = self.out.len();
                if count > 0 {
                    self.out.push(b',');
                }
                let (written, next) = self
                    .scalar(field, &data[..stop], start)
                    .map_err(|failure| failure.within(format!("[{count}]")))?;
                if written {
                    count += 1;
                } else {
                    self.out.truncate(mark);
                }
                start = next;
            }
        }
        self.out.push(b']');
        Ok(count > 0)
    }

    /// Write one scalar; tells whether it has a form, and where the next one begins.
    #[inline(always)]
    pub(crate) fn scalar(&mut self, field: &Field, data: &[u8], mut at: usize) -> Result<(bool, usize)> {
        let out = &mut self.out;
        let as_number = self.plan.options.int64_numbers;
        macro_rules! wide {
            ($value:expr) => {{
                let value = $value;
                if as_number {
                    text::integer(out, value)
                } else {
                    text::quoted(out, value)
                }
            }};
        }
        match field.ty {
            ty::DOUBLE => text::double(out, f64::from_le_bytes(w::fixed(data, &mut at)?)),
            ty::FLOAT => text::float(out, f32::from_le_bytes(w::fixed(data, &mut at)?)),
            ty::INT64 => wide!(w::varint(data, &mut at)? as i64),
            ty::UINT64 => wide!(w::varint(data, &mut at)?),
            ty::INT32 => text::integer(out, w::varint(data, &mut at)? as i32),
            ty::FIXED64 => wide!(u64::from_le_bytes(w::fixed(data, &mut at)?)),
            ty::FIXED32 => text::integer(out, u32::from_le_bytes(w::fixed(data, &mut at)?)),
            ty::BOOL => {
                let word: &[u8] = if w::varint(data, &mut at)? == 0 { b"false" } else { b"true" };
                out.extend_from_slice(word);
            }
            ty::STRING => text::string(out, w::bytes(data, &mut at)?)?,
            ty::BYTES => text::base64(out, w::bytes(data, &mut at)?),
            ty::UINT32 => text::integer(out, w::varint(data, &mut at)? as u32),
            ty::ENUM => {
                let number = w::varint(data, &mut at)? as i32;
                return Ok((self.enumeration(&self.plan.enums[field.sub as usize], number), at));
            }
            ty::SFIXED32 => text::integer(out, i32::from_le_bytes(w::fixed(data, &mut at)?)),
            ty::SFIXED64 => wide!(i64::from_le_bytes(w::fixed(data, &mut at)?)),
            ty::SINT32 => text::integer(out, w::zigzag(w::varint(data, &mut at)? as u32 as u64)),
            ty::SINT64 => wide!(w::zigzag(w::varint(data, &mut at)?)),
            _ => return wire("a field is of no known type"),
        }
        Ok((true, at))
    }

    fn enumeration(&mut self, kind: &Enum, number: i32) -> bool {
        if kind.closed && !kind.known.contains(&number) {
            return false; // such a number counts as an unknown field
        }
        match kind.shown.get(&number) {
            _ if kind.null => self.out.extend_from_slice(b"null"),
            Some(name) if !self.plan.options.enum_numbers => self.out.extend_from_slice(name),
            _ => text::integer(&mut self.out, number),
        }
        true
    }
}
