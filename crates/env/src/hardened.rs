//! The hardened form of a grader that was not made here: its own code, before which each submission is stood in for.

use crate::Surface;
use crate::files::Folder;
use crate::row::Row;
use crate::signature::Signature;
use crate::way::Way;
use serde_json::json;
use std::collections::BTreeMap;

/// Files of a hardened form by path, and which may be executed.
pub type HardenedFiles = BTreeMap<String, (Vec<u8>, bool)>;

/// The hardened form of a grader.
#[derive(Debug, Clone)]
pub struct HardenedForm {
    /// Its files.
    pub files: HardenedFiles,
    /// What it is opened as, with `{folder}` for where the files lie.
    pub target: String,
    /// How its arguments are taken, where it is a function.
    pub signature: Signature,
    /// Where a submission goes, where it is a folder with tests; and what runs them.
    pub solution: Option<(String, &'static str)>,
}

/// The folder of all that a submission brings to hardened tests.
pub(crate) const SUBMISSION_FOLDER: &str = "submission/";
const STAND_IN: &str = include_str!("stand_in.py");

/// A folder with tests, whose solution is stood in for: what they import asks the submission in another process.
pub(crate) fn tests_form(
    folder: &Folder,
    solution: &str,
    framework: &'static str,
    reference: &str,
    functions: &[String],
) -> Result<HardenedForm, String> {
    let class = |line: &str| line.starts_with("class ");
    if reference.lines().any(class) {
        return Err(
            "its solution defines a class: objects cannot be stood in for from another process; each finding says \
                    how to close it"
                .into(),
        );
    }
    // From where the stand-in lies up to the folder, and down to the submission.
    let up = "os.pardir, ".repeat(solution.matches('/').count());
    let mut text = format!(
        "{STAND_IN}\n\nimport os\n_path = os.path.join(os.path.dirname(os.path.abspath(__file__)), {up}\"submission\", \
         \"solution.py\")\nwith open(_path, encoding=\"utf-8\") as _file:\n    _ask = _make_ask(_file.read())\n"
    );
    for name in functions {
        text.push_str(&format!("\n\ndef {name}(*args, **named):\n    return _ask({name:?}, args, named)\n"));
    }
    let mut files: HardenedFiles = folder.files.clone();
    files.insert(solution.into(), (text.into_bytes(), false));
    files.insert("reference.py".into(), (reference.into(), false));
    Ok(HardenedForm {
        files,
        target: "{folder}".into(),
        signature: Signature::Auto,
        solution: Some((format!("{SUBMISSION_FOLDER}solution.py"), framework)),
    })
}

/// A reward function and what is known of how it is called.
pub(crate) struct Wrapped<'a> {
    pub folder: &'a Folder,
    pub file: &'a str,
    pub module: &'a str,
    pub function: &'a str,
    pub signature: Signature,
}

/// Names of parameters that hold a submission, in the order in which one is taken for it.
const SUBMISSION: [&str; 12] = [
    "submission",
    "completion",
    "completions",
    "solution_str",
    "solution_strs",
    "response",
    "responses",
    "output",
    "generation",
    "generations",
    "candidate",
    "code",
];

impl Wrapped<'_> {
    /// A module with a function of the same parameters, and the grader's own files beside it.
    pub(crate) fn form(&self, way: &Way, row: &Row) -> Result<HardenedForm, String> {
        let surface = row.surface;
        if !matches!(surface, Surface::Module | Surface::Program) {
            return Err(
                "it reads texts: what it takes for an answer is in its own code, and each finding says what to \
                        change there"
                    .into(),
            );
        }
        let defines = |line: &str| line.starts_with("def ") || line.starts_with("async def ");
        if surface == Surface::Module && !row.reference.lines().any(defines) {
            return Err(
                "its reference defines no function: objects of a class cannot be stood in for from another process"
                    .into(),
            );
        }
        let wrapped = way.wrap.around("\0", surface);
        let (before, after) = wrapped.split_once('\0').unwrap_or(("", ""));
        let text = |value: &str| json!(value).to_string();
        let spec = format!("({}, {}, {})", text(self.file), text(self.module), text(self.function));
        let source = include_str!("hardened.py")
            .replace("= SPEC", &format!("= {spec}"))
            .replace("= NAMES", &format!("= {}", json!(SUBMISSION)))
            .replace("= WRAP", &format!("= ({}, {})", text(before), text(after)))
            .replace("= ISPROGRAM", if surface == Surface::Program { "= True" } else { "= False" })
            .replace("= TEXT", &format!("= {}", text(STAND_IN)));
        let mut files: HardenedFiles =
            self.folder.files.iter().map(|(path, file)| (format!("original/{path}"), file.clone())).collect();
        files.insert("hardened.py".into(), (source.into_bytes(), false));
        Ok(HardenedForm {
            files,
            target: "python:{folder}/hardened.py:hardened".into(),
            signature: self.signature,
            solution: None,
        })
    }
}
