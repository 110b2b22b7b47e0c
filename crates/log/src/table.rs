use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::LogError;
use crate::files::write_atomic;

/// One column of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum TableColumn {
    /// Whole numbers.
    Int(Vec<i64>),
    /// Truth values; none is null.
    Flag(Vec<Option<bool>>),
    /// Texts.
    Text(Vec<String>),
}

impl TableColumn {
    fn len(&self) -> usize {
        match self {
            Self::Int(values) => values.len(),
            Self::Flag(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }
}

/// Writes columns of equal length as Parquet (Snappy), atomically. Equal columns give equal bytes. Names are letters,
/// digits and `_`.
///
/// # Errors
/// [`LogError::Unwritable`] for columns of different length or a name that Parquet's schema does not take.
pub fn write_table(path: &Path, columns: &[(&str, TableColumn)]) -> Result<(), LogError> {
    write_atomic(path, &table_bytes(columns)?)
}

/// The bytes of such a file.
///
/// # Errors
/// As [`write_table`].
pub fn table_bytes(columns: &[(&str, TableColumn)]) -> Result<Vec<u8>, LogError> {
    let refuse = |why: String| LogError::Unwritable { kind: "Parquet table", why };
    if columns.iter().any(|(_, column)| column.len() != columns[0].1.len()) {
        return Err(refuse("the columns are not equally long".into()));
    }
    encode(columns).map_err(|error| refuse(error.to_string()))
}

fn encode(columns: &[(&str, TableColumn)]) -> Result<Vec<u8>, ParquetError> {
    let fields: Vec<String> = columns
        .iter()
        .map(|(name, column)| match column {
            TableColumn::Int(_) => format!("required int64 {name};"),
            TableColumn::Flag(_) => format!("optional boolean {name};"),
            TableColumn::Text(_) => format!("required binary {name} (string);"),
        })
        .collect();
    let schema = parse_message_type(&format!("message table {{ {} }}", fields.join(" ")))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(concat!("loophole ", env!("CARGO_PKG_VERSION")).to_string())
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for (name, column) in columns {
        let Some(mut out) = group.next_column()? else { break };
        match (column, out.untyped()) {
            (TableColumn::Int(values), ColumnWriter::Int64ColumnWriter(w)) => {
                w.write_batch(values, None, None)?;
            }
            (TableColumn::Flag(values), ColumnWriter::BoolColumnWriter(w)) => {
                let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
                let present: Vec<bool> = values.iter().copied().flatten().collect();
                w.write_batch(&present, Some(&levels), None)?;
            }
            (TableColumn::Text(values), ColumnWriter::ByteArrayColumnWriter(w)) => {
                let values: Vec<ByteArray> = values.iter().map(|value| value.as_str().into()).collect();
                w.write_batch(&values, None, None)?;
            }
            _ => return Err(ParquetError::General(format!("column {name} has another type"))),
        }
        out.close()?;
    }
    group.close()?;
    writer.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    #[test]
    fn comes_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.parquet");
        let columns = [
            ("n", TableColumn::Int(vec![1, -2])),
            ("bad", TableColumn::Flag(vec![None, Some(true)])),
            ("said", TableColumn::Text(vec!["ü\n".into(), String::new()])),
        ];
        write_table(&path, &columns).unwrap();
        let file = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
        let rows: Vec<_> = file.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!((rows[0].get_long(0).unwrap(), rows[1].get_long(0).unwrap()), (1, -2));
        assert_eq!((rows[0].get_string(2).unwrap().as_str(), rows[1].get_bool(1).unwrap()), ("ü\n", true));
        assert!(rows[0].get_bool(1).is_err(), "null");
        assert_eq!(encode(&columns).unwrap(), encode(&columns).unwrap());
        let uneven = [("a", TableColumn::Int(vec![1])), ("b", TableColumn::Int(vec![]))];
        assert!(write_table(&path, &uneven).unwrap_err().to_string().contains("equally long"));
    }
}
