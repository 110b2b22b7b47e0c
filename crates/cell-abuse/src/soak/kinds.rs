//! The kinds of programs, how often each is drawn, and what must come of it.

use fastrand::Rng;
use loophole_cell::{CellError, Change, Pool, Program, Record, SessionOptions, Verdict};

/// The verdict in words, and whether it ended as it must.
type Outcome = (String, Result<(), String>);

/// One kind.
pub struct Kind {
    /// What it is called in the report.
    pub name: &'static str,
    /// Whether it means harm.
    pub hostile: bool,
    weight: u32,
    /// Runs one, with numbers of its own drawn from the seed.
    pub run: fn(&Pool, &mut Rng) -> Outcome,
}

const fn honest(name: &'static str, weight: u32, run: fn(&Pool, &mut Rng) -> Outcome) -> Kind {
    Kind { name, hostile: false, weight, run }
}

const fn hostile(name: &'static str, weight: u32, run: fn(&Pool, &mut Rng) -> Outcome) -> Kind {
    Kind { name, hostile: true, weight, run }
}

/// All kinds. Weights are of ten thousand; 500 of them are hostile, most of those cheap.
pub const ALL: &[Kind] = &[
    honest("bare", 4500, bare),
    honest("imports", 1500, imports),
    honest("cold import", 100, cold_import),
    honest("files", 1500, files),
    honest("standard input", 500, standard_input),
    honest("exit status", 480, exit_status),
    honest("traceback", 400, traceback),
    honest("bash", 490, bash),
    honest("session", 10, session),
    honest("large output", 20, large_output),
    hostile("early end", 60, |p, _| ends(p, "import os; os._exit(0)", &[Verdict::Exit])),
    hostile("suicide", 60, |p, _| ends(p, "import os; os.kill(os.getpid(), 9)", &[Verdict::Signal])),
    hostile("kill everything", 60, kill_everything),
    hostile("daemon", 60, daemon),
    hostile("fault", 40, |p, _| ends(p, "import ctypes; ctypes.string_at(8)", &[Verdict::Signal])),
    hostile("modes", 60, modes),
    hostile("deep folders", 20, |p, _| {
        ends(p, "import os\nfor i in range(150): os.mkdir('d'); os.chdir('d')", &[Verdict::Exit])
    }),
    hostile("refused calls", 40, refused),
    hostile("flood", 20, |p, _| ends(p, "import os\nwhile True: os.write(1, b'y' * 65536)", &[Verdict::Output])),
    hostile("disk", 15, |p, _| ends(p, "f = open('f', 'wb')\nwhile True: f.write(bytes(65536))", &[Verdict::Disk])),
    hostile("memory bomb", 15, |p, _| ends(p, "x = []\nwhile True: x.append(b'x' * (1 << 20))", &[Verdict::Memory])),
    hostile("fork bomb", 10, |p, _| {
        let source = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass";
        ends(p, source, &[Verdict::Pids, Verdict::Cpu, Verdict::Wall])
    }),
    hostile("thread bomb", 10, |p, _| {
        let source =
            "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(9,), daemon=True).start()";
        ends(p, source, &[Verdict::Pids, Verdict::Memory])
    }),
    hostile("busy loop", 15, |p, _| ends(p, "while True: pass", &[Verdict::Cpu])),
    hostile("sleep", 15, |p, _| ends(p, "import time; time.sleep(60)", &[Verdict::Wall])),
];

/// Draws a kind.
pub fn draw(draw: &mut Rng) -> &'static Kind {
    let mut at = draw.u32(..ALL.iter().map(|k| k.weight).sum::<u32>());
    for kind in ALL {
        if at < kind.weight {
            return kind;
        }
        at -= kind.weight;
    }
    &ALL[0]
}

fn word(verdict: Verdict) -> String {
    format!("{verdict:?}").to_lowercase()
}

fn told(r: &Record) -> String {
    format!(
        "{:?}, code {:?}, signal {:?}, {:?} {:?} {:?}",
        r.verdict,
        r.code,
        r.signal,
        r.stdout_text(),
        tail(r),
        r.detail
    )
}

fn tail(r: &Record) -> String {
    r.stderr_text().lines().next_back().unwrap_or("").to_owned()
}

fn judged(run: Result<Record, CellError>, good: impl FnOnce(&Record) -> bool) -> Outcome {
    match run {
        Err(e) => ("error".to_owned(), Err(e.to_string())),
        Ok(r) if good(&r) => (word(r.verdict), Ok(())),
        Ok(r) => (word(r.verdict), Err(told(&r))),
    }
}

fn prints(pool: &Pool, program: &Program, want: &str) -> Outcome {
    judged(pool.run(program), |r| r.success() && r.stdout == want.as_bytes() && r.files.is_empty())
}

/// A hostile program under tight limits.
fn ends(pool: &Pool, source: &str, verdicts: &[Verdict]) -> Outcome {
    let mut program = Program::python(source);
    let limits = &mut program.limits;
    (limits.cpu_seconds, limits.wall_seconds, limits.processes) = (0.2, 10.0, 8);
    (limits.memory_bytes, limits.file_bytes, limits.output_bytes) = (64 << 20, 1 << 20, 64 << 10);
    if verdicts == [Verdict::Wall] {
        limits.wall_seconds = 0.1;
    } else if verdicts != [Verdict::Cpu] && !verdicts.contains(&Verdict::Cpu) {
        limits.cpu_seconds = 5.0;
    }
    judged(pool.run(&program), |r| verdicts.contains(&r.verdict) && r.wall_seconds < 9.0)
}

fn bare(pool: &Pool, draw: &mut Rng) -> Outcome {
    let n = draw.u64(1..2000);
    prints(pool, &Program::python(format!("print(sum(range({n})))")), &format!("{}\n", n * (n - 1) / 2))
}

fn imports(pool: &Pool, draw: &mut Rng) -> Outcome {
    let (a, b) = (draw.u32(..1000), draw.u32(..1000));
    let source = format!(
        "import collections, itertools, json, math, re\n\
         c = collections.Counter(re.findall('[0-9]', '{a} {b}'))\n\
         print(json.dumps({{'sum': sum(c.values()), 'gcd': math.gcd({a}, {b}), 'n': len(list(itertools.permutations(range(4))))}}))"
    );
    let digits = format!("{a}{b}").len();
    let gcd = |mut x: u32, mut y: u32| {
        while y != 0 {
            (x, y) = (y, x % y);
        }
        x
    };
    prints(pool, &Program::python(source), &format!("{{\"sum\": {digits}, \"gcd\": {}, \"n\": 24}}\n", gcd(a, b)))
}

fn cold_import(pool: &Pool, draw: &mut Rng) -> Outcome {
    let n = draw.u32(1..100);
    let source = format!("import fractions\nprint(fractions.Fraction({n}, {n}) + 1)");
    prints(pool, &Program::python(source), "2\n")
}

fn files(pool: &Pool, draw: &mut Rng) -> Outcome {
    let text = format!("{}\n", draw.u64(..));
    let mut program = Program::python(
        "import helper, os\nt = open('in/data.txt').read()\nopen('out.txt', 'w').write(helper.twice(t))\nos.remove('gone')\nprint(len(t))",
    )
    .file("in/data.txt", text.as_str())
    .file("helper.py", "def twice(t): return t + t\n")
    .file("gone", "x");
    program.read_back.push("out.txt".to_owned());
    let want = text.repeat(2);
    judged(pool.run(&program), |r| {
        let changes: Vec<(&[u8], Change)> = r.files.iter().map(|f| (&f.path[..], f.change)).collect();
        r.success()
            && r.stdout == format!("{}\n", text.len()).as_bytes()
            && changes == [(&b"gone"[..], Change::Removed), (b"out.txt", Change::Created)]
            && r.contents.get("out.txt").is_some_and(|c| c == want.as_bytes())
    })
}

fn standard_input(pool: &Pool, draw: &mut Rng) -> Outcome {
    let lines: Vec<u32> = (0..20).map(|_| draw.u32(..10_000)).collect();
    let mut program = Program::python("import sys\nprint(sum(int(l) for l in sys.stdin))");
    program.stdin = lines.iter().map(|n| format!("{n}\n")).collect::<String>().into_bytes();
    prints(pool, &program, &format!("{}\n", lines.iter().sum::<u32>()))
}

fn exit_status(pool: &Pool, draw: &mut Rng) -> Outcome {
    let n = draw.i32(1..256);
    let run = pool.run(&Program::python(format!("import sys\nsys.exit({n})")));
    judged(run, |r| r.verdict == Verdict::Exit && r.code == Some(n))
}

fn traceback(pool: &Pool, draw: &mut Rng) -> Outcome {
    let n = draw.u32(..1000);
    let run = pool.run(&Program::python(format!("def f(x):\n    assert x == {n}, x\nf({})", n + 1)));
    judged(run, |r| r.code == Some(1) && tail(r) == format!("AssertionError: {}", n + 1))
}

fn bash(pool: &Pool, draw: &mut Rng) -> Outcome {
    let (a, b, c) = (draw.u32(..1000), draw.u32(..1000), draw.i32(0..100));
    let script = format!("x=$(({a} * {b})); echo $x | cat; exit {c}");
    judged(pool.run(&Program::command(["bash", "-c", &script])), |r| {
        r.code == Some(c) && r.stdout == format!("{}\n", a * b).as_bytes() && r.leftover_processes == 0
    })
}

fn large_output(pool: &Pool, draw: &mut Rng) -> Outcome {
    let n = draw.usize(100_000..900_000);
    judged(pool.run(&Program::python(format!("print('x' * {n})"))), |r| r.success() && r.stdout.len() == n + 1)
}

fn session(pool: &Pool, draw: &mut Rng) -> Outcome {
    let n = draw.u32(..1000);
    let run = || -> Result<Record, CellError> {
        let mut session = pool.session(&SessionOptions::default())?;
        let one = session.run(&format!("x={n}; echo made > f; sleep 60 & echo $x"))?;
        let two = session.run("echo $x; (exit 7)")?;
        let right = one.stdout == format!("{n}\n").as_bytes() && one.stdout == two.stdout && two.code == Some(7);
        let record = session.finish()?;
        if right { Ok(record) } else { Err(CellError::SessionEnded(format!("{one:?} {two:?}"))) }
    };
    judged(run(), |r| r.success() && r.leftover_processes == 1 && r.files.len() == 1)
}

fn kill_everything(pool: &Pool, _: &mut Rng) -> Outcome {
    let source = "import os\nfor p in (-1, 1, 0):\n  try: os.kill(p, 9)\n  except OSError: pass";
    ends(pool, source, &[Verdict::Signal])
}

fn daemon(pool: &Pool, _: &mut Rng) -> Outcome {
    let source = "import os, time\nif os.fork() == 0:\n  os.setsid(); time.sleep(60)\nprint('done')";
    judged(pool.run(&Program::python(source)), |r| r.success() && r.leftover_processes == 1)
}

fn modes(pool: &Pool, _: &mut Rng) -> Outcome {
    let source = "import os\nos.mkdir('d'); open('d/f', 'w').close(); os.symlink('/etc/passwd', 'l'); os.mkfifo('p')\n\
                  os.chmod('d/f', 0); os.chmod('d', 0); os.utime('/box', (1, 1)); os.chmod('/box', 0); os.chmod('/tmp', 0)";
    judged(pool.run(&Program::python(source)), |r| r.success() && r.files.len() == 4)
}

fn refused(pool: &Pool, _: &mut Rng) -> Outcome {
    let source = "import ctypes\nl = ctypes.CDLL(None)\nbad = set()\nfor i in range(20):\n  \
                  bad |= {l.unshare(0x10000000), l.ptrace(0, 0, 0, 0), l.socket(17, 3, 0), l.mount(b'x', b'/box', b'tmpfs', 0, 0)}\n\
                  print(bad)";
    judged(pool.run(&Program::python(source)), |r| r.success() && r.stdout == b"{-1}\n")
}
