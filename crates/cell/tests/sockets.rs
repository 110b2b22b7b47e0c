//! Sockets within a cell, and nothing of them from one program to the next.

mod common;
use common::{bash, pool, python};
use loophole_cell::*;

fn works(source: &str) {
    let record = python(source);
    assert!(record.success() && record.refused.is_empty(), "{:?} {}", record.refused, record.stderr_text());
}

fn refused(source: &str, call: &str) {
    let record = python(source);
    assert!(record.success(), "{}", record.stderr_text());
    assert!(record.refused.contains_key(call), "{:?}", record.refused);
}

#[test]
fn a_server_and_its_client_in_one_program() {
    works(
        "import http.server, threading, urllib.request\n\
         s = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)\n\
         threading.Thread(target=s.serve_forever, daemon=True).start()\n\
         url = 'http://127.0.0.1:%d/' % s.server_port\n\
         assert b'Directory listing' in urllib.request.urlopen(url).read()\n",
    );
    works(
        "import asyncio\n\
         async def main():\n\
         \x20   async def echo(r, w):\n\
         \x20       w.write(await r.readline()); await w.drain(); w.close()\n\
         \x20   for host in ('127.0.0.1', '::1'):\n\
         \x20       server = await asyncio.start_server(echo, host, 0)\n\
         \x20       r, w = await asyncio.open_connection(host, server.sockets[0].getsockname()[1])\n\
         \x20       w.write(b'hi\\n'); assert await r.readline() == b'hi\\n'\n\
         \x20       w.close(); server.close()\n\
         \x20   server = await asyncio.start_unix_server(echo, '/tmp/s')\n\
         \x20   r, w = await asyncio.open_unix_connection('/tmp/s')\n\
         \x20   w.write(b'hi\\n'); assert await r.readline() == b'hi\\n'\n\
         asyncio.run(main())\n",
    );
    works(
        "import socket\n\
         a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); a.bind(('127.0.0.1', 0))\n\
         b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); b.sendto(b'x', a.getsockname())\n\
         assert a.recv(9) == b'x'\n\
         a, b = socket.socketpair(); a.send(b'y'); assert b.recv(1) == b'y'\n",
    );
}

#[test]
fn a_manager_of_several_processes() {
    works(
        "import multiprocessing as m\n\
         def add(d, i): d[i] = i * i\n\
         if __name__ == '__main__':\n\
         \x20   with m.Manager() as manager:\n\
         \x20       d = manager.dict()\n\
         \x20       ps = [m.Process(target=add, args=(d, i)) for i in range(3)]\n\
         \x20       [p.start() for p in ps]; [p.join() for p in ps]\n\
         \x20       assert dict(d) == {0: 0, 1: 1, 2: 4}, d\n",
    );
}

#[test]
fn no_other_family_kind_or_protocol() {
    for (family, kind, protocol) in [
        (16, 3, 0),   // netlink
        (17, 3, 768), // packet
        (2, 3, 1),    // raw
        (2, 2, 1),    // ping
        (2, 1, 262),  // MPTCP
        (2, 1, 132),  // SCTP
        (40, 1, 0),   // vsock
        (38, 5, 0),   // the kernel's cryptography
        (31, 3, 0),   // Bluetooth
        (1, 3, 0),    // raw Unix
        (30, 5, 0),   // TIPC
    ] {
        let text = format!(
            "import ctypes\nassert ctypes.CDLL(None, use_errno=True).socket({family}, {kind}, {protocol}) == -1\n\
             assert ctypes.get_errno() == 1\n"
        );
        refused(&text, "socket");
    }
    let cookie = "import socket\na, b = socket.socketpair()\ntry: a.getsockopt(1, OPTION, 8)\nexcept PermissionError: pass\nelse: raise SystemExit(1)\n";
    refused(&cookie.replace("OPTION", "57"), "getsockopt");
    refused(&cookie.replace("OPTION", "71"), "getsockopt");
    refused(
        "import socket\na, b = socket.socketpair()\ntry: a.setsockopt(1, 26, b'x' * 16)\nexcept PermissionError: pass\nelse: raise SystemExit(1)\n",
        "setsockopt",
    );
    works(
        "import socket\na = socket.socket(socket.AF_INET6)\na.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)\n",
    );
}

#[test]
fn the_machine_is_not_reached() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    server.set_nonblocking(true).unwrap();
    let name = format!("loophole-test-{}", std::process::id());
    let address = <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&name);
    let hidden = std::os::unix::net::UnixListener::bind_addr(&address.unwrap()).unwrap();
    hidden.set_nonblocking(true).unwrap();
    let text = format!(
        "import socket\n\
         def tries(family, address, kind=socket.SOCK_STREAM):\n\
         \x20   s = socket.socket(family, kind); s.settimeout(2)\n\
         \x20   try: s.connect(address)\n\
         \x20   except OSError as e: print(e.errno)\n\
         \x20   else: print('connected', address)\n\
         tries(2, ('127.0.0.1', {port}))\n\
         tries(10, ('::1', {port}))\n\
         tries(1, '\\0{name}')\n\
         for host in ('1.1.1.1', '10.0.0.1', '169.254.169.254', '255.255.255.255'): tries(2, (host, 53))\n\
         for host in ('1.1.1.1', '224.0.0.1'): tries(2, (host, 53), socket.SOCK_DGRAM)\n"
    );
    let record = python(&text);
    assert_eq!(record.stdout_text(), "111\n111\n111\n101\n101\n101\n101\n101\n101\n", "{}", record.stderr_text());
    assert!(server.accept().is_err() && hidden.accept().is_err());
    // A name is looked up at once, in vain.
    let record =
        python("import socket\ntry: socket.getaddrinfo('example.org', 80)\nexcept OSError as e: print('no')\n");
    assert_eq!(record.stdout_text(), "no\n");
    assert!(record.wall_seconds < 2.0);
}

/// Programs of one cell, one after another.
fn one_cell() -> Pool {
    Pool::start(PoolOptions { cells: 1, ..PoolOptions::default() }).unwrap()
}

#[test]
fn nothing_of_a_network_is_left_for_the_next_program() {
    let pool = one_cell();
    let leave = "import socket, os, array\n\
        s = socket.socket(); s.bind(('127.0.0.1', 4567)); s.listen()\n\
        c = socket.create_connection(('127.0.0.1', 4567)); d, _ = s.accept()\n\
        d.close(); c.close()\n\
        # An abstract name that lives on in a message that nobody takes.\n\
        x, y = socket.socketpair()\n\
        u = socket.socket(socket.AF_UNIX); u.bind('\\0left'); u.listen()\n\
        for a, b in ((x, y), (y, x)):\n\
        \x20   a.sendmsg([b'x'], [(1, 1, array.array('i', [u.fileno(), x.fileno(), y.fileno()]))])\n\
        if os.fork() == 0: os.setsid(); import time; time.sleep(100)\n";
    let look = "import socket\n\
        s = socket.socket(); s.bind(('127.0.0.1', 4567)); s.listen(); s.close()\n\
        u = socket.socket(socket.AF_UNIX); u.bind('\\0left')\n";
    assert!(pool.run(&Program::python(look)).unwrap().success());
    let pids = pool.zygote_pids();
    for _ in 0..20 {
        for text in [leave, look] {
            let mut program = Program::python(text);
            program.limits.wall_seconds = 5.0;
            let record = pool.run(&program).unwrap();
            assert!(record.success(), "{:?} {}", record.verdict, record.stderr_text());
        }
    }
    assert_eq!(pool.zygote_pids(), pids, "the same cell all along");
}

#[test]
fn programs_of_several_cells_do_not_meet() {
    let pool = pool();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let text = "import socket, time\n\
                    s = socket.socket(); s.bind(('127.0.0.1', 5001)); s.listen()\n\
                    u = socket.socket(socket.AF_UNIX); u.bind('\\0name'); u.listen(); time.sleep(0.3)\n\
                    s.settimeout(0.1)\n\
                    try: s.accept(); print('somebody came')\n\
                    except OSError: pass\n";
                let record = pool.run(&Program::python(text)).unwrap();
                assert!(
                    record.success() && record.stdout.is_empty(),
                    "{} {}",
                    record.stdout_text(),
                    record.stderr_text()
                );
            });
        }
    });
}

#[test]
fn a_crowd_of_sockets_harms_the_program_alone() {
    let record =
        python("import socket\nfor i in range(20000):\n  socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()\n");
    assert!(matches!(record.verdict, Verdict::Exit | Verdict::Wall | Verdict::Cpu), "{record:?}");
    let record = python(
        "import socket\nkept = []\ntry:\n  while True: kept.append(socket.socket())\nexcept OSError as e: print(e.errno)\n",
    );
    assert_eq!(record.stdout_text(), "24\n");
    assert!(bash("echo fine").success());
}

#[test]
fn a_session_has_them_too_and_its_next_user_nothing_of_it() {
    let serve = "python3 -c 'import http.server as h; h.HTTPServer((\"127.0.0.1\", 8080), h.SimpleHTTPRequestHandler).serve_forever()' >/dev/null 2>&1 &";
    let ask = "for i in $(seq 20); do python3 -c 'import urllib.request as u; print(len(u.urlopen(\"http://127.0.0.1:8080\").read()) > 0)' 2>/dev/null && break; sleep 0.1; done";
    for _ in 0..2 {
        let limits = Limits { cpu_seconds: 30.0, ..Limits::default() };
        let mut s =
            pool().session(&SessionOptions { limits, step_wall_seconds: 60.0, ..SessionOptions::default() }).unwrap();
        assert_eq!(s.run("exec 3<>/dev/tcp/127.0.0.1/8080").unwrap().code, Some(1), "nobody serves yet");
        s.run(serve).unwrap();
        let step = s.run(ask).unwrap();
        assert_eq!(step.stdout, b"True\n", "{step:?}");
        s.finish().unwrap();
    }
}

#[test]
fn without_a_namespace_there_are_none() {
    let python = Some("/usr/bin/python3".into());
    let pool =
        Pool::start(PoolOptions { python, tier: Some(Tier::Landlock), cells: 1, ..PoolOptions::default() }).unwrap();
    for family in [1, 2, 10] {
        let record = pool.run(&Program::python(format!("import socket; socket.socket({family})"))).unwrap();
        assert_eq!((record.code, record.refused.get("socket")), (Some(1), Some(&1)), "{record:?}");
    }
}

#[test]
fn all_this_as_an_ordinary_user() {
    common::again_as_an_ordinary_user();
}
