//! One pool for all tests of a file.
#![allow(dead_code)]

use loophole_cell::{Pool, PoolOptions, Program, Record};
use std::sync::OnceLock;

pub fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(|| {
        Pool::start(PoolOptions {
            cells: 3,
            ..PoolOptions::default()
        })
        .expect("a pool")
    })
}

pub fn run(program: &Program) -> Record {
    pool().run(program).expect("a record")
}

pub fn python(source: &str) -> Record {
    run(&Program::python(source))
}

pub fn bash(script: &str) -> Record {
    run(&Program::command(["bash", "-c", script]))
}
