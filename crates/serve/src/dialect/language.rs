//! The languages of `/run_code`.

use std::path::Path;

/// A language whose programs run as commands.
pub(super) struct Language {
    pub name: &'static str,
    /// The stem and the end of the program's file.
    pub file: (&'static str, &'static str),
    /// What makes `main` of the file, whose name comes last.
    pub compile: Option<&'static [&'static str]>,
    /// What runs it; the file's name comes last unless it was compiled.
    pub run: &'static [&'static str],
}

const MAIN: &str = "main";

/// The program that a compiler makes.
pub(super) const MADE: &str = "main";

const LANGUAGES: &[Language] = &[
    Language { name: "bash", file: (MAIN, ".sh"), compile: None, run: &["bash"] },
    Language {
        name: "cpp",
        file: (MAIN, ".cpp"),
        compile: Some(&["g++", "-std=c++17", "-O2", "-o", MADE]),
        run: &["./main"],
    },
    Language { name: "c", file: (MAIN, ".c"), compile: Some(&["gcc", "-O2", "-o", MADE]), run: &["./main"] },
    Language { name: "nodejs", file: (MAIN, ".js"), compile: None, run: &["node"] },
    Language { name: "perl", file: (MAIN, ".pl"), compile: None, run: &["perl"] },
    Language { name: "ruby", file: (MAIN, ".rb"), compile: None, run: &["ruby"] },
    Language { name: "lua", file: (MAIN, ".lua"), compile: None, run: &["lua"] },
    Language { name: "php", file: (MAIN, ".php"), compile: None, run: &["php"] },
    Language { name: "R", file: (MAIN, ".R"), compile: None, run: &["Rscript"] },
];

impl Language {
    /// Whether this machine has what it needs, where cells see it.
    fn is_here(&self) -> bool {
        let needed = self.compile.unwrap_or(self.run).first().copied().unwrap_or_default();
        ["/usr/local/bin", "/usr/bin", "/bin"].iter().any(|folder| Path::new(folder).join(needed).exists())
    }

    /// The language of that name, or why it is not offered.
    pub fn find(name: &str) -> Result<&'static Language, String> {
        LANGUAGES.iter().find(|language| language.name == name && language.is_here()).ok_or_else(|| {
            let here = LANGUAGES.iter().filter(|language| language.is_here()).map(|language| language.name);
            let all: Vec<&str> = ["python", "pytest"].into_iter().chain(here).collect();
            format!("language not offered: {name:?}; there are {}", all.join(", "))
        })
    }
}
