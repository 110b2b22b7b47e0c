//! LiveCodeBench: `question_content`, `starter_code`, `public_test_cases`, `private_test_cases`, which are packed.
//!
//! The packed ones are base64 of zlib of a pickle of one text of JSON. A pickle is a program; none is run here. The one
//! form that the data set has is read, instruction by instruction, and everything else is refused.

use super::{Form, any, stated, tests};
use crate::read::MAX_TASK_ROW;
use crate::read::python;
use crate::read::row::Row;
use base64::Engine;
use flate2::read::ZlibDecoder;
use loophole_foreign::bytes;
use loophole_grade::Task;
use std::io::Read;

pub(super) const FORM: Form = Form {
    name: "LiveCodeBench",
    needs: &[&["question_content", "public_test_cases"], &["public_test_cases", "private_test_cases"]],
    is: any,
    ids: &["question_id", "task_id", "id"],
    task,
};

fn task(row: &Row, id: &str) -> Result<Task, String> {
    let read = |json: &str| tests::read(json, function(row)).map(|found| Some(found).filter(|found| !found.is_empty()));
    let there = |name: &str| row.inner(name).filter(|json| !tests::are_none(json));
    let public = there("public_test_cases").map_or(Ok(None), |json| read(&json))?;
    let private = match there("private_test_cases") {
        None => None,
        Some(json) if json.trim_start().starts_with('[') => read(&json)?,
        Some(_) => {
            let text = row.text("private_test_cases").ok_or("`private_test_cases` is neither a list nor a text")?;
            read(&unpacked(&text).map_err(|why| format!("private_test_cases: {why}"))?)?
        }
    };
    let statement = row.text("question_content").unwrap_or_default();
    let task = match (public, private) {
        (Some(public), Some(private)) => {
            let task = tests::task(id, row, public)?;
            let more = tests::task(id, row, private)?;
            if task.form != more.form {
                return Err("its public and its private tests are of two forms".into());
            }
            let visible: Vec<_> = task.cases().cloned().collect();
            let hidden = more.cases().cloned().collect();
            Task { visible, hidden, ..task }
        }
        (Some(found), None) | (None, Some(found)) => tests::task(id, row, found)?,
        (None, None) => return Err("it has no tests".into()),
    };
    let starter = row.text("starter_code").filter(|starter| !starter.is_empty());
    let statement = starter.map_or(statement.clone(), |starter| format!("{statement}\n\n{starter}"));
    Ok(tests::with_imports(stated(task, statement)))
}

/// The function that is asked for: as the row says it, or the one method that its starter code has.
fn function(row: &Row) -> Option<String> {
    let named = row.name_of(&["metadata.func_name"]).filter(|name| !name.is_empty());
    named.or_else(|| match python::methods(&row.text("starter_code")?, "Solution")?[..] {
        [one] => Some(one.to_owned()),
        _ => None,
    })
}

/// The text in a packed one.
fn unpacked(text: &str) -> Result<String, String> {
    let packed = base64::engine::general_purpose::STANDARD
        .decode(text.trim().as_bytes())
        .map_err(|error| format!("neither a list nor base64 ({error})"))?;
    let mut pickle = Vec::new();
    let most = MAX_TASK_ROW as u64;
    ZlibDecoder::new(packed.as_slice())
        .take(most + 1)
        .read_to_end(&mut pickle)
        .map_err(|error| format!("not packed with zlib ({error})"))?;
    if pickle.len() as u64 > most {
        return Err(format!("unpacked it has more than the {} that are read", bytes(most)));
    }
    if pickle.starts_with(b"[") {
        return String::from_utf8(pickle).map_err(|_| "no UTF-8 text".into());
    }
    pickled_text(&pickle).ok_or_else(|| {
        "a pickle that holds more than one text: pickles are programs, and no other is read; unpack it with the data \
         set's own code"
            .into()
    })
}

/// The text that a pickle consists of: the instructions of protocols 0 to 5 for one text, and none other.
fn pickled_text(pickle: &[u8]) -> Option<String> {
    let (mut rest, mut text) = (pickle, None);
    let take = |rest: &mut &[u8], count: usize| -> Option<Vec<u8>> {
        let taken = rest.get(..count)?.to_vec();
        *rest = &rest[count..];
        Some(taken)
    };
    let number = |bytes: Vec<u8>| {
        bytes.iter().rev().try_fold(0usize, |n, byte| n.checked_mul(256)?.checked_add(usize::from(*byte)))
    };
    loop {
        let instruction = *take(&mut rest, 1)?.first()?;
        let width = match instruction {
            0x80 => {
                take(&mut rest, 1)?;
                continue;
            }
            0x95 => {
                take(&mut rest, 8)?;
                continue;
            }
            0x94 => continue,
            b'q' => {
                take(&mut rest, 1)?;
                continue;
            }
            b'r' => {
                take(&mut rest, 4)?;
                continue;
            }
            b'.' => return if rest.is_empty() { text } else { None },
            0x8c => 1,
            b'X' => 4,
            0x8d => 8,
            _ => return None,
        };
        let length = take(&mut rest, width).and_then(number)?;
        let bytes = take(&mut rest, length)?;
        if text.replace(String::from_utf8(bytes).ok()?).is_some() {
            return None;
        }
    }
}

#[cfg(test)]
mod tests_of_pickles {
    use super::*;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use std::io::Write;

    fn packed(pickle: &[u8]) -> String {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(pickle).unwrap();
        base64::engine::general_purpose::STANDARD.encode(zlib.finish().unwrap())
    }

    #[test]
    fn one_text_is_read_and_no_other_pickle() {
        for (pickle, text) in [
            (&b"\x80\x04\x95\x06\0\0\0\0\0\0\0\x8c\x02[]\x94."[..], Some("[]")),
            (b"\x80\x03X\x02\0\0\0[]q\0.", Some("[]")),
            (b"\x80\x04\x8d\x02\0\0\0\0\0\0\0[]\x94.", Some("[]")),
            (b"[]", Some("[]")),
            (b"cos\nsystem\n(S'true'\ntR.", None),
            (b"\x80\x04\x8c\x02[]\x8c\x02[].", None),
            (b"\x80\x04\x8c\x02[]", None),
            (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", None),
            (b"\x80\x04\x8c\x02[]\x94.\x80\x04.", None),
        ] {
            assert_eq!(unpacked(&packed(pickle)).ok().as_deref(), text, "{pickle:?}");
        }
        assert!(unpacked("no base64!").unwrap_err().contains("base64"));
        assert!(unpacked("AAAA").unwrap_err().contains("zlib"));
    }

    #[test]
    fn the_public_tests_are_enough() {
        let public = r#"[{"input": "[1]", "output": "2", "testtype": "functional"}]"#;
        let none = packed(b"\x80\x04\x8c\x02[]\x94.");
        for private in ["null", "\"\"", "\" \"", "[]", "\"[]\"", "\"null\"", "NaN", &format!("\"{none}\"")] {
            let row = format!(
                r#"{{"public_test_cases": {public}, "private_test_cases": {private}, "metadata": "", "question_content": "q", "starter_code": "class Solution:\n    def more(self, n):\n        "}}"#
            );
            let task = task(&Row::parse(&row).unwrap(), "t").unwrap_or_else(|why| panic!("{private}: {why}"));
            assert_eq!((task.entry_point(), task.cases().count()), (Some("more"), 1), "{private}");
        }
    }

    #[test]
    fn what_unpacks_to_too_much_is_refused() {
        let bomb = packed(&vec![b'a'; MAX_TASK_ROW + 1]);
        assert!(bomb.len() < 1 << 20 && unpacked(&bomb).unwrap_err().contains("128 MiB"));
    }
}
