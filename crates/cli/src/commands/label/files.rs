//! The files that an agent wrote, as far as the calls of its tools tell.

use std::collections::BTreeMap;

use serde_json::Value;

/// Where a tool is told which file it is about.
const PATHS: [&str; 6] = ["file_path", "path", "filename", "filePath", "file", "target_file"];
/// Where a tool is told what a file is to hold.
const CONTENTS: [&str; 6] = ["content", "file_text", "contents", "text", "code_edit", "new_content"];
/// Where a tool is told what is replaced, and by what.
const EDITS: [(&str, &str); 3] = [("old_string", "new_string"), ("old_str", "new_str"), ("oldString", "newString")];
/// Where a shell is told what to do.
const COMMANDS: [&str; 6] = ["command", "keystrokes", "cmd", "script", "input", "bash_command"];

/// Commands, and parts of such, that change files.
const CHANGES: [&str; 10] =
    ["sed -i", "mv ", "cp ", "rm ", "patch", "perl -", "git checkout", "open(", "write_text", "*** Update File"];

/// The files that were written, by path, and what could not be followed.
#[derive(Debug, Default, PartialEq)]
pub struct Written {
    /// Content by path, as the tools named it.
    pub files: BTreeMap<String, String>,
    /// A change of a file of which it is not known what it held.
    pub lost: Vec<String>,
    /// How many calls there were.
    pub calls: usize,
}

impl Written {
    /// Takes in a call of a tool, whatever the tool is called: its arguments tell what it does.
    pub fn call(&mut self, arguments: &Value) {
        self.calls += 1;
        let text = |names: &[&str]| names.iter().find_map(|name| arguments[*name].as_str());
        if let Some(path) = text(&PATHS) {
            if let Some(content) = text(&CONTENTS) {
                self.write(path, content.into());
                return;
            }
            let edit = EDITS.iter().find_map(|(old, new)| Some((arguments[*old].as_str()?, arguments[*new].as_str()?)));
            if let Some((old, new)) = edit {
                return self.edit(path, old, new, arguments["replace_all"].as_bool() == Some(true));
            }
        }
        for patch in ["patch", "input", "diff"].iter().filter_map(|name| arguments[*name].as_str()) {
            patch.lines().filter(|line| line.starts_with("*** ")).for_each(|line| self.by_other_means(line));
        }
        match text(&COMMANDS) {
            Some(script) => self.shell(script),
            // Shells are told words, too.
            None => {
                let words =
                    |name: &&str| arguments[*name].as_array().map(|words| words.iter().filter_map(Value::as_str));
                if let Some(last) = COMMANDS.iter().find_map(words).and_then(|mut words| words.next_back()) {
                    self.shell(last);
                }
            }
        }
    }

    fn write(&mut self, path: &str, content: String) {
        self.lost.retain(|lost| lost != path);
        self.files.insert(path.into(), content);
    }

    fn edit(&mut self, path: &str, old: &str, new: &str, all: bool) {
        match self.files.get_mut(path) {
            Some(content) if old.is_empty() => *content = new.into(),
            Some(content) if content.contains(old) => {
                *content = if all { content.replace(old, new) } else { content.replacen(old, new, 1) };
            }
            // It had failed where it was made, too.
            Some(_) => {}
            None if old.is_empty() => self.write(path, new.into()),
            None => self.lost(path),
        }
    }

    fn lost(&mut self, path: &str) {
        self.files.remove(path);
        if !self.lost.iter().any(|lost| lost == path) {
            self.lost.push(path.into());
        }
    }

    /// A command that changes files in a way that is not followed: what they hold is not known from then on.
    fn by_other_means(&mut self, line: &str) {
        if let Some((path, _)) = target(line) {
            self.lost(&path);
        }
        if !CHANGES.iter().any(|word| line.contains(word)) {
            return;
        }
        let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_string();
        let changed: Vec<String> = self.files.keys().filter(|path| line.contains(&name(path))).cloned().collect();
        changed.iter().for_each(|path| self.lost(path));
    }

    /// Here-documents that go into a file: `cat > FILE <<'END'`, `tee FILE <<END`, also appended with `>>`.
    fn shell(&mut self, script: &str) {
        let mut lines = script.lines();
        while let Some(line) = lines.next() {
            let Some((before, after)) = line.split_once("<<") else {
                self.by_other_means(line);
                continue;
            };
            let after = after.trim_start_matches('-').trim_start();
            let word: String = after.chars().take_while(|c| !c.is_whitespace() && !";|&>)".contains(*c)).collect();
            let end = word.trim_matches(['\'', '"', '\\']);
            if end.is_empty() {
                continue;
            }
            let content: Vec<&str> = lines.by_ref().take_while(|line| line.trim_start_matches('\t') != end).collect();
            let rest = &after[word.len()..];
            let Some((path, adds)) = target(before).or_else(|| target(rest)) else {
                // It may be a patch, or a program that writes.
                content.iter().for_each(|line| self.by_other_means(line));
                continue;
            };
            let content: String = content.iter().flat_map(|line| [*line, "\n"]).collect();
            if !adds {
                self.write(&path, content);
            } else if let Some(there) = self.files.get_mut(&path) {
                there.push_str(&content);
            } else {
                self.lost(&path);
            }
        }
    }
}

/// The file that a part of a command writes into, and whether it adds to it.
fn target(part: &str) -> Option<(String, bool)> {
    let plain = |word: &str| word.trim_matches(['\'', '"']).to_string();
    let words: Vec<&str> = part.split_whitespace().collect();
    for (at, word) in words.iter().enumerate() {
        let Some(rest) = word.strip_prefix('>') else { continue };
        let (adds, rest) = rest.strip_prefix('>').map_or((false, rest), |rest| (true, rest));
        let path = if rest.is_empty() { *words.get(at + 1)? } else { rest };
        return Some((plain(path), adds));
    }
    let tee = words.iter().rposition(|word| *word == "tee")?;
    let adds = words[tee..].contains(&"-a");
    Some((plain(words[tee + 1..].iter().find(|word| !word.starts_with('-'))?), adds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn after(calls: &[Value]) -> Written {
        let mut written = Written::default();
        calls.iter().for_each(|call| written.call(call));
        written
    }

    #[test]
    fn files_are_followed_through_the_tools_that_agents_have() {
        for (calls, files) in [
            (json!([{"file_path": "/app/solution.py", "content": "x = 1\n"}]), json!({"/app/solution.py": "x = 1\n"})),
            (
                json!([{"command": "create", "path": "s.py", "file_text": "a\n"},
                       {"command": "str_replace", "path": "s.py", "old_str": "a", "new_str": "b"}]),
                json!({"s.py": "b\n"}),
            ),
            (
                json!([{"file_path": "s.py", "content": "a a"},
                       {"file_path": "s.py", "old_string": "a", "new_string": "c", "replace_all": true},
                       {"file_path": "s.py", "old_string": "gone", "new_string": "d"}]),
                json!({"s.py": "c c"}),
            ),
            (
                json!([{"keystrokes": "cat > s.py <<'EOF'\nx = 1\nEOF\npython3 s.py\n"}, {"command": "cat >>s.py <<EOF\ny\nEOF"}]),
                json!({"s.py": "x = 1\ny\n"}),
            ),
            (json!([{"cmd": ["bash", "-lc", "tee 'a b.py' s.py <<\"E\" >/dev/null\nz\nE"]}]), json!({"a": "z\n"})),
            (json!([{"command": "cat <<'EOF' > /app/s.py\nq\nEOF"}, {"command": "ls"}]), json!({"/app/s.py": "q\n"})),
        ] {
            let written = after(calls.as_array().unwrap());
            // A name with a blank is cut: such names are rare, and what is cut is no `solution.py`.
            assert_eq!(json!(written.files), files, "{calls}");
            assert!(written.lost.is_empty());
        }
    }

    #[test]
    fn what_cannot_be_followed_is_told() {
        let written = after(&[
            json!({"path": "s.py", "old_str": "a", "new_str": "b"}),
            json!({"command": "cat >> t.py <<E\nx\nE"}),
        ]);
        assert_eq!((written.files.len(), written.lost), (0, vec!["s.py".to_string(), "t.py".into()]));
        let written =
            after(&[json!({"path": "s.py", "old_str": "a", "new_str": "b"}), json!({"path": "s.py", "content": "c"})]);
        assert_eq!((written.files["s.py"].as_str(), written.lost.len()), ("c", 0));
    }
}
