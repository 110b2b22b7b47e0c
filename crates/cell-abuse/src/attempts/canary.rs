//! What stands outside the cells and must stay unseen and untouched.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read, Result};
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A word that occurs nowhere else, and says where it was taken from.
pub fn secret(place: &str) -> String {
    format!("CANARY-{place}-{}", random())
}

fn random() -> String {
    let mut bytes = [0u8; 12];
    fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut bytes)).expect("/dev/urandom");
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A process, a folder with a file, ports, sockets with and without a name, and secrets in this process.
pub struct Canaries {
    process: Child,
    folder: PathBuf,
    tcp: TcpListener,
    udp: UdpSocket,
    streams: [UnixListener; 2],
    datagrams: [UnixDatagram; 2],
    name: String,
    secrets: Vec<String>,
    before: String,
}

impl Drop for Canaries {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Canaries {
    /// `uid` is that of the cell's processes outside: nothing but the cell itself protects a process of that user.
    pub fn start(uid: u32) -> Result<Canaries> {
        let name = format!("loophole-abuse-{}", random());
        let folder = std::env::temp_dir().join(&name);
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, Permissions::from_mode(0o777))?;
        let file = secret("file");
        // Open to everyone: only the cell stands before it.
        fs::write(folder.join("secret"), &file)?;
        fs::set_permissions(folder.join("secret"), Permissions::from_mode(0o666))?;
        let unnamed = |kind: &str| SocketAddr::from_abstract_name(format!("{name}-{kind}"));
        let streams = [UnixListener::bind(folder.join("stream"))?, UnixListener::bind_addr(&unnamed("stream")?)?];
        let datagrams = [UnixDatagram::bind(folder.join("datagram"))?, UnixDatagram::bind_addr(&unnamed("datagram")?)?];
        for socket in ["stream", "datagram"] {
            fs::set_permissions(folder.join(socket), Permissions::from_mode(0o777))?;
        }
        let tcp = TcpListener::bind("127.0.0.1:0")?;
        let udp = UdpSocket::bind("127.0.0.1:0")?;
        tcp.set_nonblocking(true)?;
        udp.set_nonblocking(true)?;
        streams.iter().try_for_each(|s| s.set_nonblocking(true))?;
        datagrams.iter().try_for_each(|s| s.set_nonblocking(true))?;
        let mut sleep = Command::new("sleep");
        sleep.arg("100000").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if fs::metadata("/proc/self")?.uid() == 0 && uid != 0 {
            sleep.uid(uid);
        }
        let process = sleep.spawn()?;
        // One secret stays in this process's memory, one is in its environment as well.
        let secrets = vec![file, secret("memory"), std::env::var(super::SECRET).unwrap_or_default()];
        let mut canaries =
            Canaries { process, folder, tcp, udp, streams, datagrams, name, secrets, before: String::new() };
        // Until `sleep` sleeps.
        for _ in 0..100 {
            std::thread::sleep(std::time::Duration::from_millis(10));
            canaries.before = canaries.look()?;
            if canaries.before.starts_with("S ") {
                break;
            }
        }
        Ok(canaries)
    }

    /// Puts into a program where the canaries are; what they hold, it does not get.
    pub fn fill(&self, text: &str) -> String {
        let port = |a: Result<std::net::SocketAddr>| a.map_or(0, |a| a.port()).to_string();
        text.replace("{{PID}}", &self.process.id().to_string())
            .replace("{{SUPERVISOR}}", &std::process::id().to_string())
            .replace("{{FOLDER}}", &self.folder.display().to_string())
            .replace("{{ABSTRACT}}", &self.name)
            .replace("{{TCP}}", &port(self.tcp.local_addr()))
            .replace("{{UDP}}", &port(self.udp.local_addr()))
    }

    /// Secrets that must occur in nothing a program gives.
    pub fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// State of process and folder as text.
    fn look(&self) -> Result<String> {
        let of = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", self.process.id()));
        let stat = of("stat")?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        // State, group, session, priority, nice, threads, real-time priority, policy.
        let mut text: String = [0, 2, 3, 15, 16, 17, 37, 38].map(|i| format!("{} ", fields[i])).concat();
        let kept = ["SigPnd", "ShdPnd", "SigBlk", "SigIgn", "Cpus_allowed:", "NoNewPrivs", "Seccomp:", "TracerPid"];
        text.extend(of("status")?.lines().filter(|l| kept.iter().any(|k| l.starts_with(k))));
        text += &of("limits")?;
        let mut names: Vec<_> = fs::read_dir(&self.folder)?.map(|e| e.map(|e| e.path())).collect::<Result<_>>()?;
        names.push(self.folder.clone());
        names.sort();
        for path in names {
            let m = fs::symlink_metadata(&path)?;
            let of = (m.mode(), m.uid(), m.nlink(), m.size(), m.mtime_nsec(), m.ctime_nsec(), m.ino());
            text += &format!("{} {of:?}\n", path.display());
        }
        text += &fs::read_to_string(self.folder.join("secret"))?;
        Ok(text)
    }

    /// What was touched since they were started.
    pub fn touched(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        match self.look() {
            Ok(now) if now == self.before => {}
            Ok(now) => {
                let changed: Vec<&str> = now.lines().filter(|l| !self.before.contains(l)).collect();
                out.push(format!("the canary process or folder was touched: {changed:?}"));
            }
            Err(e) => out.push(format!("the canary process or folder is gone: {e}")),
        }
        let mut quiet = |what: &str, found: std::io::Result<()>| match found {
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            other => out.push(format!("the canary {what} was reached ({other:?})")),
        };
        let mut buffer = [0u8; 64];
        quiet("TCP port", self.tcp.accept().map(|_| ()));
        quiet("UDP port", self.udp.recv_from(&mut buffer).map(|_| ()));
        for (socket, what) in self.streams.iter().zip(["stream socket", "abstract stream socket"]) {
            quiet(what, socket.accept().map(|_| ()));
        }
        for (socket, what) in self.datagrams.iter().zip(["datagram socket", "abstract datagram socket"]) {
            quiet(what, socket.recv(&mut buffer).map(|_| ()));
        }
        out
    }
}
