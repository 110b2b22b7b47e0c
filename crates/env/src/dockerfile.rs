//! As much of a Dockerfile as can be had without an image: files, folders, variables and plain commands on top of
//! this machine's own system.

use crate::files::Folder;

/// What a task's image is made of.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Recipe {
    /// Where commands run.
    pub workdir: String,
    /// Variables.
    pub env: Vec<(String, String)>,
    /// Files of the task by absolute path: source in the `environment` folder, place in the image.
    pub copies: Vec<(String, String)>,
    /// Commands with the folder they run in.
    pub commands: Vec<(String, String)>,
    /// Python distributions that must be there.
    pub pip: Vec<String>,
    /// Debian packages whose programs must be there.
    pub apt: Vec<String>,
}

/// Images that bring a system and nothing of a task.
const PLAIN: [&str; 7] = ["debian", "ubuntu", "python", "buildpack-deps", "alpine", "fedora", "bash"];

impl Recipe {
    /// Reads a Dockerfile; the error says what it asks for that cannot be had.
    pub(crate) fn parse(text: &str, environment: &Folder) -> Result<Recipe, String> {
        let mut recipe = Recipe { workdir: "/".into(), ..Recipe::default() };
        let mut from = 0;
        for (line, word, rest) in instructions(text)? {
            let at = |why: String| format!("line {line} of its Dockerfile {why}");
            match word.as_str() {
                "FROM" => {
                    from += 1;
                    if from > 1 {
                        return Err(at("begins a second stage".into()));
                    }
                    let image = rest.split_whitespace().find(|w| !w.starts_with("--")).unwrap_or("");
                    check_image(image).map_err(at)?;
                }
                "WORKDIR" => recipe.workdir = join(&recipe.workdir, rest.trim()),
                "ENV" | "ARG" => recipe.env.extend(variables(&rest)),
                "COPY" | "ADD" => recipe.copy(&rest, environment).map_err(at)?,
                "RUN" => recipe.run(&rest).map_err(at)?,
                "CMD" | "ENTRYPOINT" | "LABEL" | "EXPOSE" | "USER" | "STOPSIGNAL" | "SHELL" | "VOLUME"
                | "MAINTAINER" | "HEALTHCHECK" => {}
                other => return Err(at(format!("has the instruction {other}, which is not understood here"))),
            }
        }
        if from == 0 {
            return Err("its Dockerfile has no FROM".into());
        }
        Ok(recipe)
    }

    fn copy(&mut self, rest: &str, environment: &Folder) -> Result<(), String> {
        let mut words: Vec<&str> = rest.split_whitespace().collect();
        if words.iter().any(|w| w.starts_with("--from")) {
            return Err("copies out of another image".into());
        }
        words.retain(|w| !w.starts_with("--"));
        let (to, sources) = words.split_last().filter(|(_, s)| !s.is_empty()).ok_or("copies nothing")?;
        for source in sources {
            if source.contains("://") {
                return Err(format!("downloads {source}"));
            }
            let source = source.trim_start_matches("./").trim_start_matches('/').trim_end_matches('/');
            let (whole, target) = (matches!(source, "" | "."), join(&self.workdir, to));
            let folder = !whole && environment.files.keys().any(|p| p.starts_with(&format!("{source}/")));
            let mut found = false;
            for path in environment.files.keys().filter(|p| *p != "Dockerfile") {
                let place = if whole {
                    join(&target, path)
                } else if folder {
                    let Some(inner) = path.strip_prefix(&format!("{source}/")) else { continue };
                    join(&target, inner)
                } else if path == source || matches_star(source, path) {
                    let many = to.ends_with('/') || *to == "." || sources.len() > 1 || source.contains('*');
                    if many { join(&target, path.rsplit('/').next().unwrap_or(path)) } else { target.clone() }
                } else {
                    continue;
                };
                found = true;
                self.copies.push((path.clone(), place));
            }
            if !found && !whole {
                return Err(format!("copies {source}, which the environment folder does not hold"));
            }
        }
        Ok(())
    }

    /// Installations become things to look for; every other command is run in the cell.
    fn run(&mut self, rest: &str) -> Result<(), String> {
        let mut kept: Vec<&str> = Vec::new();
        for part in rest.split("&&").flat_map(|p| p.split(';')).map(str::trim).filter(|p| !p.is_empty()) {
            let words: Vec<&str> = part.split_whitespace().filter(|w| !w.starts_with('-')).collect();
            match words.as_slice() {
                ["apt-get" | "apt" | "apk", "update" | "upgrade" | "clean" | "autoremove", ..] => {}
                ["apt-get" | "apt" | "apk", "install" | "add", packages @ ..] => {
                    self.apt.extend(packages.iter().map(|p| bare(p)));
                }
                ["rm", targets @ ..]
                    if targets.iter().all(|t| t.starts_with("/var/lib/apt") || t.starts_with("/var/cache")) => {}
                ["pip" | "pip3", "install", packages @ ..]
                | ["python" | "python3", "pip", "install", packages @ ..]
                | ["uv", "pip", "install", packages @ ..] => {
                    self.pip.extend(
                        packages
                            .iter()
                            .filter(|p| !matches!(**p, "pip" | "uv" | "wheel" | "setuptools"))
                            .map(|p| bare(p)),
                    );
                }
                [program, ..]
                    if matches!(
                        *program,
                        "curl" | "wget" | "git" | "npm" | "cargo" | "go" | "conda" | "gem" | "make"
                    ) && part.contains("://") =>
                {
                    return Err(format!("downloads with `{part}`"));
                }
                _ => kept.push(part),
            }
        }
        if !kept.is_empty() {
            self.commands.push((self.workdir.clone(), kept.join(" && ")));
        }
        Ok(())
    }

    /// The folders of the root that the image has and a cell must have too.
    pub(crate) fn roots(&self) -> Vec<String> {
        let paths = self.copies.iter().map(|(_, to)| to.as_str()).chain([self.workdir.as_str()]);
        let mut roots: Vec<String> =
            paths.filter_map(|p| p.split('/').find(|part| !part.is_empty()).map(str::to_string)).collect();
        roots.sort();
        roots.dedup();
        roots
    }
}

/// Whether an image brings only a system.
pub(crate) fn check_image(image: &str) -> Result<(), String> {
    let name = image.rsplit('/').next().unwrap_or(image).split([':', '@']).next().unwrap_or("");
    let official = !image.contains('/') || image.starts_with("docker.io/library/") || image.contains("/t-bench/");
    if official && PLAIN.contains(&name) {
        return Ok(());
    }
    Err(format!("starts from the image {image}, which may hold what this machine does not"))
}

/// A requirement or package without its version.
fn bare(package: &str) -> String {
    package.trim_matches(['"', '\'']).split(['=', '<', '>', '~', '[', '!', ';']).next().unwrap_or("").to_string()
}

/// An absolute path from one that may be relative.
fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = if path.starts_with('/') { Vec::new() } else { folder.split('/').collect() };
    parts.extend(path.split('/'));
    let parts: Vec<&str> = parts.into_iter().filter(|p| !p.is_empty() && *p != ".").collect();
    format!("/{}", parts.join("/"))
}

fn matches_star(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        Some((head, tail)) => {
            path.len() >= head.len() + tail.len()
                && path.starts_with(head)
                && path.ends_with(tail)
                && !path[head.len()..path.len() - tail.len()].contains('/')
        }
        None => false,
    }
}

fn variables(rest: &str) -> Vec<(String, String)> {
    let clean = |v: &str| v.trim().trim_matches(['"', '\'']).to_string();
    match rest.split_once('=') {
        Some((name, _)) if !name.trim().contains(' ') => {
            let pairs = rest.split_whitespace().filter_map(|w| w.split_once('='));
            pairs.map(|(n, v)| (n.to_string(), clean(v))).collect()
        }
        _ => rest.split_once(' ').map(|(n, v)| (n.to_string(), clean(v))).into_iter().collect(),
    }
}

/// Line, word and rest of every instruction, with continued lines joined.
fn instructions(text: &str) -> Result<Vec<(usize, String, String)>, String> {
    let mut out: Vec<(usize, String, String)> = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (i, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.starts_with('#') || (trimmed.is_empty() && open.is_none()) {
            continue;
        }
        let (start, so_far) = open.take().unwrap_or((i + 1, String::new()));
        let (part, more) = match trimmed.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (trimmed, false),
        };
        let joined = format!("{so_far} {}", part.trim());
        if more {
            open = Some((start, joined));
            continue;
        }
        let joined = joined.trim();
        if joined.contains("<<") && joined.starts_with("RUN") | joined.starts_with("COPY") {
            return Err(format!("line {start} of its Dockerfile has a here-document, which is not understood here"));
        }
        let (word, rest) = joined.split_once(char::is_whitespace).unwrap_or((joined, ""));
        out.push((start, word.to_uppercase(), rest.trim().to_string()));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> Folder {
        Folder { files: names.iter().map(|n| (n.to_string(), (Vec::new(), false))).collect() }
    }

    #[test]
    fn a_plain_dockerfile_is_understood() {
        let text = "FROM python:3.12-slim\n# a comment\nRUN apt-get update && apt-get install -y \\\n    curl git && rm -rf /var/lib/apt/lists/*\n\
                    RUN pip install --no-cache-dir 'pytest==8.4'\nWORKDIR /app\nENV A=1 B=\"two\"\nCOPY data/ ./data/\nCOPY main.py .\nCOPY *.txt /srv/\nRUN mkdir -p out && touch out/x\n";
        let recipe = Recipe::parse(text, &folder(&["Dockerfile", "data/a.csv", "main.py", "n.txt"])).unwrap();
        let pair = |a: &str, b: &str| (a.to_string(), b.to_string());
        assert_eq!(recipe.workdir, "/app");
        assert_eq!((recipe.apt, recipe.pip), (vec!["curl".into(), "git".into()], vec!["pytest".into()]));
        assert_eq!(recipe.env, [pair("A", "1"), pair("B", "two")]);
        assert_eq!(
            recipe.copies,
            [pair("data/a.csv", "/app/data/a.csv"), pair("main.py", "/app/main.py"), pair("n.txt", "/srv/n.txt")]
        );
        assert_eq!(recipe.commands, [pair("/app", "mkdir -p out && touch out/x")]);
    }

    #[test]
    fn what_cannot_be_had_is_named() {
        for (text, says) in [
            ("FROM ghcr.io/org/thing:1\n", "ghcr.io/org/thing:1"),
            ("FROM debian\nRUN curl -L https://x/y | sh\n", "downloads"),
            ("FROM debian\nCOPY --from=build /x /y\n", "another image"),
            ("FROM debian\nFROM ubuntu\n", "second stage"),
            ("FROM debian\nCOPY gone.txt /x\n", "gone.txt"),
            ("RUN true\n", "no FROM"),
            ("FROM debian\nONBUILD RUN x\n", "ONBUILD"),
        ] {
            let error = Recipe::parse(text, &folder(&[])).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
