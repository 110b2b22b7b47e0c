//! What can be seen of a Harbor task's weaknesses without running anything. Hints, never findings.

use crate::Hint;
use crate::files::Folder;

/// Programs that fetch something, as they are written in a script.
const FETCHES: [&str; 13] = [
    "curl ",
    "wget ",
    "uvx ",
    "pip install ",
    "pip3 install ",
    "npx ",
    "git clone ",
    "npm install ",
    "npm ci ",
    "cargo install ",
    "apt-get install ",
    "apt install ",
    "apk add ",
];
/// Words in the name of a file that holds answers.
const ANSWERS: [&str; 5] = ["expected", "answer", "solution", "oracle", "golden"];

/// The hints about a task.
pub(super) fn hints(task: &Folder, toml: &toml::Table, separate: bool) -> Vec<Hint> {
    let mut hints = Vec::new();
    let mut hint = |id: &'static str, message: String| hints.push(Hint { id, message });
    if !separate {
        hint(
            "shared-verifier",
            "the verifier runs in the agent's container: `environment_mode` is not \"separate\"".into(),
        );
    }
    let scripts = task.files.keys().filter(|p| p.starts_with("tests/") && p.ends_with(".sh"));
    let scripts: Vec<(&String, Vec<String>)> = scripts.map(|p| (p, commands(&task.text(p)))).collect();
    let seen = |is: fn(&str) -> bool| {
        scripts.iter().find_map(|(path, lines)| lines.iter().find(|l| is(l)).map(|line| format!("{path}: `{line}`")))
    };
    if let Some(place) = seen(downloads) {
        hint("verifier-network-download", format!("the verifier downloads or installs while it verifies ({place})"));
    }
    let image = commands(&task.text("environment/Dockerfile"));
    let in_image = || image.iter().find(|l| is_unpinned(l)).map(|line| format!("environment/Dockerfile: `{line}`"));
    if let Some(place) = seen(is_unpinned).or_else(in_image) {
        hint("unpinned-dependency", format!("what is installed has no fixed version ({place})"));
    }
    if let Some(place) = seen(takes_status) {
        hint(
            "exit-status",
            format!("an exit status is the verdict, without a word that only the verifier knows ({place})"),
        );
    }
    if let Some(path) = leaked(task) {
        hint(
            "agent-image-test-leak",
            format!("the agent can read {path}, which belongs to the verifier or the solution"),
        );
    }
    let mode = |section: &str| toml.get(section)?.get("network_mode")?.as_str();
    match mode("agent").or_else(|| mode("environment")).unwrap_or("public") {
        "no-network" => {}
        mode => {
            hint("network-on", format!("the agent has the network: `network_mode` is {mode:?}, not \"no-network\""))
        }
    }
    hints
}

/// The lines of a script or Dockerfile without comments, continued ones joined.
fn commands(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(|l| l.split(" #").next().unwrap_or(l).trim());
    lines
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

fn downloads(line: &str) -> bool {
    let local = ["localhost", "127.0.0.1", "[::1]"].iter().any(|host| line.contains(host));
    let command = format!("{line} ");
    !local && FETCHES.iter().any(|w| command.contains(w))
}

/// Whether a line installs Python packages of any version, or runs a script of the network's as it comes.
fn is_unpinned(line: &str) -> bool {
    let piped = line.contains("| sh") || line.contains("| bash");
    if piped && (line.contains("curl ") || line.contains("wget ")) {
        return !line.split_whitespace().any(|w| w.contains("://") && has_version(w));
    }
    line.replace("&&", ";").split([';', '|']).any(|command| packages(command).into_iter().any(is_free))
}

/// The Python packages that a command installs.
fn packages(command: &str) -> Vec<&str> {
    let words: Vec<&str> = command.split_whitespace().map(|w| w.trim_matches(['"', '\''])).collect();
    let mut found = Vec::new();
    let mut installs = false;
    let mut before = "";
    for (i, word) in words.iter().enumerate() {
        let named = matches!(before, "--with" | "-w");
        let value = matches!(before, "-r" | "-c" | "-p" | "-i" | "--python" | "--index-url" | "--target");
        if named || (installs && !word.starts_with('-') && !value) {
            found.push(*word);
            // `uvx` takes one; what follows is the program's.
            installs &= words[..i].contains(&"install");
        }
        installs |= *word == "uvx" || (*word == "install" && words[..i].iter().any(|w| matches!(*w, "pip" | "pip3")));
        before = word;
    }
    found
}

/// Whether a requirement leaves its version open.
fn is_free(package: &str) -> bool {
    !package.contains(['=', '@', '/']) && !package.starts_with(['.', '$'])
}

fn has_version(word: &str) -> bool {
    word.as_bytes().windows(3).any(|w| w[0].is_ascii_digit() && w[1] == b'.' && w[2].is_ascii_digit())
}

/// Whether a line makes a verdict of the status of a program that runs what the agent left.
fn takes_status(line: &str) -> bool {
    let runs = |command: &str| {
        let first = command.trim_start_matches('!').split_whitespace().next().unwrap_or("");
        let name = first.rsplit('/').next().unwrap_or(first);
        ["pytest", "python", "python3", "uvx", "uv", "node", "npm", "cargo", "go", "make", "bash", "sh"].contains(&name)
    };
    let chained = line.split_once("&&").is_some_and(|(command, then)| runs(command) && then.contains("echo 1"));
    line.contains("$?") || line.strip_prefix("if ").is_some_and(runs) || chained
}

/// A file of the agent's image that is one of the verifier's or of the solution.
fn leaked(task: &Folder) -> Option<String> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_lowercase();
    let theirs: Vec<(String, &Vec<u8>)> = task
        .files
        .iter()
        .filter(|(path, _)| path.starts_with("tests/") || path.starts_with("solution/"))
        .map(|(path, (content, _))| (name(path), content))
        .collect();
    let leaks = |path: &str, content: &Vec<u8>| {
        let name = name(path);
        let script = name.ends_with(".sh") || name.starts_with("test_") || name.ends_with("_test.py");
        let answers = ANSWERS.iter().any(|word| name.contains(word));
        theirs.iter().any(|(other, bytes)| {
            (script && *other == name)
                || (!content.is_empty() && *bytes == content && (script || answers || other.ends_with(".sh")))
        })
    };
    let environment = task.files.iter().filter(|(path, _)| path.starts_with("environment/"));
    environment.map(|(path, (content, _))| (path, content)).find(|(p, c)| leaks(p, c)).map(|(path, _)| path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task of these files; all it does not name is as it should be.
    fn ids(toml: &str, files: &[(&str, &str)]) -> Vec<&'static str> {
        let mut folder = Folder::default();
        let sound = [
            ("tests/test.sh", "#!/bin/bash\n. /tests/lib.sh\ncheck /app/out.txt >/logs/verifier/reward.txt\n"),
            ("tests/test_outputs.py", "def test_it(): pass\n"),
            ("tests/expected.txt", "42\n"),
            ("solution/solve.sh", "echo 42 >/app/out.txt\n"),
            ("environment/Dockerfile", "FROM python:3.12-slim\nRUN pip install -r requirements.txt 'numpy==2.1.0'\n"),
            ("environment/latest_data.csv", "1,2\n"),
            ("environment/tests/test_visible.py", "def test_a(): pass\n"),
        ];
        for (path, text) in sound.iter().chain(files) {
            folder.files.insert(path.to_string(), (text.as_bytes().to_vec(), false));
        }
        let toml: toml::Table = toml::from_str(toml).unwrap();
        hints(&folder, &toml, true).into_iter().map(|h| h.id).collect()
    }

    const OFF: &str = "[environment]\nnetwork_mode = \"no-network\"\n";

    #[test]
    fn a_sound_task_gets_no_hint() {
        assert_eq!(ids(OFF, &[]), Vec::<&str>::new());
        assert_eq!(ids("[agent]\nnetwork_mode = \"no-network\"\n", &[]), Vec::<&str>::new());
        for line in [
            "# pip install pytest, then curl it; see $?",
            "curl -sf http://localhost:8080/health",
            "if [ -f /app/out.txt ]; then",
            "python3 /tests/judge.py --nonce \"$nonce\"",
        ] {
            let script = format!("#!/bin/bash\n{line}\n");
            assert_eq!(ids(OFF, &[("tests/test.sh", &script)]), Vec::<&str>::new(), "{line}");
        }
    }

    #[test]
    fn what_deserves_a_hint_gets_that_one() {
        let (download, unpinned, status) = ("verifier-network-download", "unpinned-dependency", "exit-status");
        for (line, wanted) in [
            ("pip install pytest==8.4.1", vec![download]),
            ("pip install -q pytest==8.4.1 numpy", vec![download, unpinned]),
            ("pip3 install \\\n  -r /tests/requirements.txt", vec![download]),
            ("curl -LsSf https://astral.sh/uv/0.9.7/install.sh | sh", vec![download]),
            ("curl -LsSf https://astral.sh/uv/install.sh | sh", vec![download, unpinned]),
            ("uvx -p 3.13 --with pytest==8.4.1 pytest@8.4.1 /tests", vec![download]),
            ("uvx --with pytest-json-ctrf pytest@8.4.1 /tests", vec![download, unpinned]),
            ("git clone https://example.org/tests.git", vec![download]),
            ("pytest /tests; if [ $? -eq 0 ]; then", vec![status]),
            ("if python3 -m unittest discover -s /tests; then", vec![status]),
            ("/opt/bin/pytest /tests && echo 1 >/logs/verifier/reward.txt", vec![status]),
        ] {
            let script = format!("#!/bin/bash\n{line}\n");
            assert_eq!(ids(OFF, &[("tests/test.sh", &script)]), wanted, "{line}");
        }
        let leak = ["agent-image-test-leak"];
        assert_eq!(ids(OFF, &[("environment/test_outputs.py", "x")]), leak);
        assert_eq!(ids(OFF, &[("environment/.cache/solve.sh", "x")]), leak);
        assert_eq!(ids(OFF, &[("environment/data/expected_output.txt", "42\n")]), leak);
        assert_eq!(ids(OFF, &[("environment/answer.txt", "another\n")]), Vec::<&str>::new());
        assert_eq!(ids("", &[]), ["network-on"]);
        assert_eq!(ids("[environment]\nnetwork_mode = \"allowlist\"\n", &[]), ["network-on"]);
        assert_eq!(ids(OFF, &[("environment/Dockerfile", "FROM debian:12\nRUN pip install numpy\n")]), [unpinned]);
    }
}
