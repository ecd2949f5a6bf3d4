//! What Python has found out about message types, in the form that the hot loops want.

use rustc_hash::FxHashMap;

/// Numbers of `FieldDescriptorProto.Type`.
pub mod ty {
    pub const DOUBLE: u8 = 1;
    pub const FLOAT: u8 = 2;
    pub const INT64: u8 = 3;
    pub const UINT64: u8 = 4;
    pub const INT32: u8 = 5;
    pub const FIXED64: u8 = 6;
    pub const FIXED32: u8 = 7;
    pub const BOOL: u8 = 8;
    pub const STRING: u8 = 9;
    pub const GROUP: u8 = 10;
    pub const MESSAGE: u8 = 11;
    pub const BYTES: u8 = 12;
    pub const UINT32: u8 = 13;
    pub const ENUM: u8 = 14;
    pub const SFIXED32: u8 = 15;
    pub const SFIXED64: u8 = 16;
    pub const SINT32: u8 = 17;
    pub const SINT64: u8 = 18;
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Plain,
    Empty,
    Timestamp,
    Duration,
    FieldMask,
    Struct,
    Value,
    ListValue,
    Any,
    Wrapper,
}

impl Form {
    pub fn of(full_name: &str) -> Form {
        match full_name.strip_prefix("google.protobuf.").unwrap_or("") {
            "Empty" => Form::Empty,
            "Timestamp" => Form::Timestamp,
            "Duration" => Form::Duration,
            "FieldMask" => Form::FieldMask,
            "Struct" => Form::Struct,
            "Value" => Form::Value,
            "ListValue" => Form::ListValue,
            "Any" => Form::Any,
            "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value"
            | "UInt32Value" | "BoolValue" | "StringValue" | "BytesValue" => Form::Wrapper,
            _ => Form::Plain,
        }
    }
}

#[derive(Clone)]
pub struct Field {
    pub number: u32,
    pub name: Box<[u8]>,
    pub json_name: Box<[u8]>,
    /// The member's name as it is written, with quotes and colon.
    pub key: Box<[u8]>,
    /// The same, as paths of errors have it.
    pub label: String,
    /// Key and value of what is written if the field is not set; `None` if nothing is.
    pub unset: Option<Box<[u8]>>,
    pub ty: u8,
    pub repeated: bool,
    pub map: bool,
    pub presence: bool,
    /// Whether `null` is a value of the field rather than its absence.
    pub nullable: bool,
    /// Index of the oneof, -1 if there is none with other members.
    pub oneof: i32,
    /// Index of the message or of the enum.
    pub sub: u32,
    /// What stands before the value, before a packed list of values, and behind a value.
    pub tag: Box<[u8]>,
    pub packed_tag: Box<[u8]>,
    pub end_tag: Box<[u8]>,
}

#[derive(Clone)]
pub struct Message {
    pub name: String,
    pub form: Form,
    pub fields: Vec<Field>,
    pub by_name: FxHashMap<Box<[u8]>, u32>,
    pub oneofs: Vec<String>,
    pub extendable: bool,
    pub message_set: bool,
    small: Vec<u32>,
    large: FxHashMap<u32, u32>,
}

const NONE: u32 = u32::MAX;

impl Message {
    pub fn new(name: String) -> Self {
        Message {
            form: Form::of(&name),
            name,
            fields: Vec::new(),
            by_name: FxHashMap::default(),
            oneofs: Vec::new(),
            extendable: false,
            message_set: false,
            small: Vec::new(),
            large: FxHashMap::default(),
        }
    }

    pub fn set_fields(&mut self, fields: Vec<Field>) {
        self.small.clear();
        self.large.clear();
        self.by_name.clear();
        for (slot, field) in fields.iter().enumerate() {
            let slot = slot as u32;
            self.by_name.insert(field.json_name.clone(), slot);
            if field.number < 256 {
                if self.small.len() <= field.number as usize {
                    self.small.resize(field.number as usize + 1, NONE);
                }
                self.small[field.number as usize] = slot;
            } else {
                self.large.insert(field.number, slot);
            }
        }
        for (slot, field) in fields.iter().enumerate() {
            self.by_name.entry(field.name.clone()).or_insert(slot as u32);
        }
        self.fields = fields;
    }

    #[inline(always)]
    pub fn slot(&self, number: u32) -> Option<u32> {
        match self.small.get(number as usize) {
            Some(&slot) => (slot != NONE).then_some(slot),
            None => self.large.get(&number).copied(),
        }
    }

    /// The field of that name; `hint` is the slot that is likely, as JSON keeps the order.
    #[inline(always)]
    pub fn find(&self, name: &[u8], hint: usize) -> Option<usize> {
        if let Some(field) = self.fields.get(hint) {
            if *field.json_name == *name {
                return Some(hint);
            }
        }
        self.by_name.get(name).map(|&slot| slot as usize)
    }
}

#[derive(Clone, Default)]
pub struct Enum {
    pub name: String,
    /// Quoted names, ready to be written.
    pub shown: FxHashMap<i32, Box<[u8]>>,
    pub numbers: FxHashMap<Box<[u8]>, i32>,
    pub known: rustc_hash::FxHashSet<i32>,
    pub closed: bool,
    pub null: bool,
}

#[derive(Clone, Copy, Default)]
pub struct Options {
    pub enum_numbers: bool,
    pub int64_numbers: bool,
    pub ignore_unknown: bool,
    pub plain_objects: bool,
    pub max_depth: u32,
}

#[derive(Clone, Default)]
pub struct Plan {
    pub options: Options,
    pub messages: Vec<Message>,
    pub enums: Vec<Enum>,
    pub names: FxHashMap<String, u32>,
}
