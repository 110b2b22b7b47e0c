//! Rows of Parquet files.

use super::row::Row;
use loophole_foreign::{bytes, memory_available, too_large};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row as Record};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The rows of one file.
pub(super) struct ParquetRows {
    rows: RowIter<'static>,
    most: usize,
}

impl ParquetRows {
    /// Opens a file whose rows may have `most` bytes.
    pub(super) fn open(file: File, most: usize) -> io::Result<ParquetRows> {
        guarded(|| {
            let reader = SerializedFileReader::new(file).map_err(wrong)?;
            // A group of rows is unpacked column by column, a page of each at a time: no more than its whole.
            let largest = memory_available() / 4;
            for group in reader.metadata().row_groups() {
                let column = group.columns().iter().map(|column| column.uncompressed_size()).max().unwrap_or(0);
                if u64::try_from(column).is_ok_and(|size| size > largest) {
                    let most = bytes(largest);
                    return Err(too_large(format!("a column of it takes more than the {most} that are read")));
                }
            }
            Ok(ParquetRows { rows: RowIter::from_file_into(Box::new(reader)), most })
        })
    }

    /// The next row and its size.
    pub(super) fn next_row(&mut self) -> io::Result<Option<(Row, usize)>> {
        let most = self.most;
        let Some(record) = guarded(|| self.rows.next().transpose().map_err(wrong))? else { return Ok(None) };
        let mut row = Row::default();
        let mut size = 0;
        for (name, field) in record.get_column_iter() {
            let json = serde_json::to_string(&value(field)).and_then(RawValue::from_string)?;
            size += json.get().len();
            if size > most {
                return Err(too_large(format!("a row of it has more than the {} that are read", bytes(most as u64))));
            }
            row.put(name, json);
        }
        Ok(Some((row, size)))
    }
}

fn wrong(error: parquet::errors::ParquetError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no readable Parquet ({error})"))
}

/// What a damaged file makes the reader trip over is an error like others.
fn guarded<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::InvalidData, "no readable Parquet (its pages contradict each other)"))
    })
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(b) => json!(b),
        Field::Byte(n) => json!(n),
        Field::Short(n) => json!(n),
        Field::Int(n) | Field::Date(n) | Field::TimeMillis(n) => json!(n),
        Field::Long(n) | Field::TimestampMillis(n) | Field::TimestampMicros(n) | Field::TimeMicros(n) => json!(n),
        Field::UByte(n) => json!(n),
        Field::UShort(n) => json!(n),
        Field::UInt(n) => json!(n),
        Field::ULong(n) => json!(n),
        Field::Float(n) => json!(n),
        Field::Double(n) => json!(n),
        Field::Str(text) => json!(text),
        // Some writers leave texts without saying that they are.
        Field::Bytes(data) => json!(String::from_utf8_lossy(data.data())),
        Field::Group(record) => object(record),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        Field::MapInternal(map) => {
            Value::Object(map.entries().iter().map(|(key, of)| (key_of(key), value(of))).collect())
        }
        other => json!(other.to_string()),
    }
}

fn key_of(field: &Field) -> String {
    match field {
        Field::Str(text) => text.clone(),
        other => other.to_string(),
    }
}

fn object(record: &Record) -> Value {
    let fields: Map<String, Value> =
        record.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect();
    Value::Object(fields)
}
