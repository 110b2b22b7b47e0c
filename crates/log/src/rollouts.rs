use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::column::reader::ColumnReader;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::LogError;
use crate::files::write_atomic;

/// One rollout: a row of `rollouts/*.parquet`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RolloutRow {
    /// The training step.
    pub step: i32,
    /// The task.
    pub task_id: String,
    /// What the policy was given.
    pub prompt: String,
    /// What it handed in.
    pub completion: String,
    /// What it thought before, empty where it does not think.
    pub thought: String,
    /// Reward of the grader. NaN is stored as null.
    pub reward: f64,
    /// The verdict.
    pub verdict: String,
    /// Exploit family of a hack.
    pub family: Option<String>,
    /// What exactly the exploit did.
    pub mechanism: Option<String>,
    /// Advantage used in the update. NaN is stored as null.
    pub advantage: f64,
    /// Which group of rollouts (one prompt) it belongs to.
    pub group: i32,
    /// Divergence from the start model, summed over its tokens: nats a rollout. NaN is stored as null.
    pub kl: f64,
    /// What the grader said, bounded by the caller.
    pub grader_said: String,
    /// What the oracle found, and what else the label rests on.
    pub oracle_said: String,
}

const SCHEMA: &str = "message rollouts {
    required int32 step;
    required binary task_id (string);
    required binary prompt (string);
    required binary completion (string);
    required binary thought (string);
    optional double reward;
    required binary verdict (string);
    optional binary family (string);
    optional binary mechanism (string);
    optional double advantage;
    required int32 group;
    optional double kl;
    required binary grader_said (string);
    required binary oracle_said (string);
}";

/// Rows of one row group; bounds the memory of a reader.
const GROUP: usize = 16 * 1024;

/// One column of [`RolloutRow`]: how to take it out and how to put it back.
enum Column {
    Int(fn(&mut RolloutRow) -> &mut i32),
    Number(fn(&mut RolloutRow) -> &mut f64),
    Text(fn(&mut RolloutRow) -> &mut String),
    Maybe(fn(&mut RolloutRow) -> &mut Option<String>),
}

fn column(name: &str) -> Option<Column> {
    Some(match name {
        "step" => Column::Int(|r| &mut r.step),
        "task_id" => Column::Text(|r| &mut r.task_id),
        "prompt" => Column::Text(|r| &mut r.prompt),
        "completion" => Column::Text(|r| &mut r.completion),
        "thought" => Column::Text(|r| &mut r.thought),
        "reward" => Column::Number(|r| &mut r.reward),
        "verdict" => Column::Text(|r| &mut r.verdict),
        "family" => Column::Maybe(|r| &mut r.family),
        "mechanism" => Column::Maybe(|r| &mut r.mechanism),
        "advantage" => Column::Number(|r| &mut r.advantage),
        "group" => Column::Int(|r| &mut r.group),
        "kl" => Column::Number(|r| &mut r.kl),
        "grader_said" => Column::Text(|r| &mut r.grader_said),
        "oracle_said" => Column::Text(|r| &mut r.oracle_said),
        _ => return None,
    })
}

/// Writes the rollouts of one step as Parquet (Snappy), atomically. Equal rows give equal bytes.
pub fn write_rollouts(path: &Path, rows: &[RolloutRow]) -> Result<(), LogError> {
    write_atomic(path, &rollout_bytes(path, rows)?)
}

/// The bytes of such a file; `path` is for messages only.
pub(crate) fn rollout_bytes(path: &Path, rows: &[RolloutRow]) -> Result<Vec<u8>, LogError> {
    encode(rows).map_err(|e| LogError::format(path, "Parquet file", e))
}

fn encode(rows: &[RolloutRow]) -> Result<Vec<u8>, ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(concat!("loophole ", env!("CARGO_PKG_VERSION")).to_string())
        .build();
    let mut writer =
        SerializedFileWriter::new(Vec::new(), Arc::new(parse_message_type(SCHEMA)?), Arc::new(properties))?;
    let names: Vec<String> = writer.schema_descr().columns().iter().map(|c| c.name().to_string()).collect();
    for rows in rows.chunks(GROUP) {
        // The accessors want a mutable row; a copy of a group is small beside the rollouts themselves.
        let mut rows = rows.to_vec();
        let mut group = writer.next_row_group()?;
        for name in &names {
            let Some(mut out) = group.next_column()? else {
                break;
            };
            let levels = |present: &[bool]| present.iter().map(|&p| i16::from(p)).collect::<Vec<_>>();
            match (column(name), out.untyped()) {
                (Some(Column::Int(get)), ColumnWriter::Int32ColumnWriter(w)) => {
                    let values: Vec<i32> = rows.iter_mut().map(|r| *get(r)).collect();
                    w.write_batch(&values, None, None)?;
                }
                (Some(Column::Number(get)), ColumnWriter::DoubleColumnWriter(w)) => {
                    let all: Vec<f64> = rows.iter_mut().map(|r| *get(r)).collect();
                    let present: Vec<bool> = all.iter().map(|x| x.is_finite()).collect();
                    let values: Vec<f64> = all.into_iter().filter(|x| x.is_finite()).collect();
                    w.write_batch(&values, Some(&levels(&present)), None)?;
                }
                (Some(Column::Text(get)), ColumnWriter::ByteArrayColumnWriter(w)) => {
                    let values: Vec<ByteArray> = rows.iter_mut().map(|r| get(r).as_str().into()).collect();
                    w.write_batch(&values, None, None)?;
                }
                (Some(Column::Maybe(get)), ColumnWriter::ByteArrayColumnWriter(w)) => {
                    let present: Vec<bool> = rows.iter_mut().map(|r| get(r).is_some()).collect();
                    let values: Vec<ByteArray> =
                        rows.iter_mut().filter_map(|r| get(r).as_deref().map(ByteArray::from)).collect();
                    w.write_batch(&values, Some(&levels(&present)), None)?;
                }
                _ => {
                    return Err(ParquetError::General(format!("column {name} is not part of a rollout")));
                }
            }
            out.close()?;
        }
        group.close()?;
    }
    writer.into_inner()
}

/// Most rollouts of a step that are read.
const MOST_ROWS: usize = 1_000_000;
/// Most bytes of their texts together.
const MOST_TEXT: usize = 512 << 20;

/// Reads the rollouts of one step. Columns of later versions are skipped; missing ones keep their default (empty
/// text, 0, NaN for numbers that may be missing).
pub fn read_rollouts(path: &Path) -> Result<Vec<RolloutRow>, LogError> {
    let file = std::fs::File::open(path).map_err(LogError::io("open", path))?;
    decode(file).map_err(|e| LogError::format(path, "Parquet file of rollouts", e))
}

fn decode(file: std::fs::File) -> Result<Vec<RolloutRow>, ParquetError> {
    let reader = SerializedFileReader::new(file)?;
    let mut rows = Vec::new();
    // A text that is in the file once may be that of every row.
    let mut left = MOST_TEXT;
    let mut text = |value: &ByteArray| -> Result<String, ParquetError> {
        left = left
            .checked_sub(value.len())
            .ok_or_else(|| ParquetError::General(format!("its texts have more than {MOST_TEXT} bytes")))?;
        Ok(value.as_utf8()?.to_string())
    };
    for g in 0..reader.num_row_groups() {
        let group = reader.get_row_group(g)?;
        let n = usize::try_from(group.metadata().num_rows())
            .map_err(|_| ParquetError::General("negative number of rows".into()))?;
        let start = rows.len();
        // What the file says of itself is not believed: memory is taken as rows are found.
        if n > MOST_ROWS - start {
            return Err(ParquetError::General(format!("it claims more than the {MOST_ROWS} rows that are read")));
        }
        let unknown = RolloutRow { reward: f64::NAN, advantage: f64::NAN, kl: f64::NAN, ..RolloutRow::default() };
        rows.resize(start + n, unknown);
        let rows = &mut rows[start..];
        for i in 0..group.num_columns() {
            let descriptor = group.metadata().column(i).column_descr_ptr();
            let Some(kind) = column(descriptor.name()) else {
                continue;
            };
            if descriptor.max_rep_level() > 0 || descriptor.max_def_level() > 1 {
                return Err(ParquetError::General(format!("column {} is nested", descriptor.name())));
            }
            let optional = descriptor.max_def_level() == 1;
            let mut present = Vec::new();
            // Which rows have a value; all of them in a required column.
            macro_rules! values {
                ($reader:expr) => {{
                    let mut values = Vec::with_capacity(n);
                    let mut done = 0;
                    while done < n {
                        let levels = optional.then_some(&mut present);
                        let (records, _, _) = $reader.read_records(n - done, levels, None, &mut values)?;
                        if records == 0 {
                            return Err(ParquetError::General(format!("column {} is short", descriptor.name())));
                        }
                        done += records;
                    }
                    let present = &present;
                    values
                        .into_iter()
                        .zip((0..n).filter(move |&at| !optional || present.get(at).is_some_and(|&level| level == 1)))
                }};
            }
            match (kind, group.get_column_reader(i)?) {
                (Column::Int(get), ColumnReader::Int32ColumnReader(mut r)) => {
                    for (value, at) in values!(r) {
                        *get(&mut rows[at]) = value;
                    }
                }
                (Column::Number(get), ColumnReader::DoubleColumnReader(mut r)) => {
                    for (value, at) in values!(r) {
                        *get(&mut rows[at]) = value;
                    }
                }
                (Column::Text(get), ColumnReader::ByteArrayColumnReader(mut r)) => {
                    for (value, at) in values!(r) {
                        *get(&mut rows[at]) = text(&value)?;
                    }
                }
                (Column::Maybe(get), ColumnReader::ByteArrayColumnReader(mut r)) => {
                    for (value, at) in values!(r) {
                        *get(&mut rows[at]) = Some(text(&value)?);
                    }
                }
                _ => {
                    return Err(ParquetError::General(format!("column {} has another type", descriptor.name())));
                }
            }
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(rows: &[RolloutRow]) -> Vec<RolloutRow> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rollouts/step-000001.parquet");
        write_rollouts(&path, rows).unwrap();
        read_rollouts(&path).unwrap()
    }

    #[test]
    fn several_row_groups_and_none() {
        assert!(round_trip(&[]).is_empty());
        let rows: Vec<RolloutRow> = (0..2 * GROUP as i32 + 5)
            .map(|i| RolloutRow {
                step: 3,
                group: i,
                completion: format!("return {i}"),
                family: (i % 3 == 0).then(|| "skip".into()),
                kl: f64::from(i),
                ..RolloutRow::default()
            })
            .collect();
        assert_eq!(round_trip(&rows), rows);
    }

    #[test]
    fn what_is_not_a_number_is_null() {
        let row = RolloutRow { advantage: f64::NAN, kl: f64::INFINITY, reward: 1.0, ..RolloutRow::default() };
        let back = round_trip(&[RolloutRow::default(), row]);
        assert!(back[1].advantage.is_nan() && back[1].kl.is_nan() && back[1].reward == 1.0);
        assert_eq!(back[0], RolloutRow::default());
    }

    #[test]
    fn equal_rows_give_equal_bytes_and_a_torn_file_is_told() {
        let rows = vec![RolloutRow { prompt: "p".into(), ..RolloutRow::default() }; 10];
        let bytes = encode(&rows).unwrap();
        assert_eq!(bytes, encode(&rows).unwrap());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.parquet");
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        let message = read_rollouts(&path).unwrap_err().to_string();
        assert!(message.contains("x.parquet is not a readable Parquet"), "{message}");
    }

    #[test]
    fn a_text_that_is_there_once_and_meant_often_is_bounded() {
        let long = "a".repeat(8 << 20);
        let rows = vec![RolloutRow { prompt: long, ..RolloutRow::default() }; 65];
        let bytes = encode(&rows).unwrap();
        assert!(bytes.len() < 64 << 20, "{} bytes", bytes.len());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.parquet");
        std::fs::write(&path, &bytes).unwrap();
        let message = read_rollouts(&path).unwrap_err().to_string();
        assert!(message.contains("its texts have more than"), "{message}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_rows_round_trip(rows in prop::collection::vec(
            (any::<i32>(), "\\PC{0,20}", any::<String>(), -1e9f64..1e9, prop::option::of("[a-z-]{0,8}"), prop::option::of(any::<String>())),
            0..20,
        )) {
            let rows: Vec<RolloutRow> = rows.into_iter().map(|(step, task_id, completion, reward, family, mechanism)| RolloutRow {
                step, task_id, prompt: completion.clone(), completion, reward, family, mechanism, group: step / 2, ..RolloutRow::default()
            }).collect();
            prop_assert_eq!(round_trip(&rows), rows);
        }
    }
}
