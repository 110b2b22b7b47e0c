//! What may become of a system call, and on what that depends.

/// What becomes of a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is done.
    Allow,
    /// It is told to the supervisor, who counts it and answers with an error.
    Refuse,
    /// It is told to the supervisor, and then done.
    Tell,
    /// Nothing is done and nobody told; 0 is success, anything else the error.
    Answer(i32),
}

/// A look at the lower half of an argument.
#[derive(Debug, Clone, Copy)]
pub(super) enum Test {
    Is(u32),
    IsNot(u32),
    OneOf(&'static [u32]),
    /// As far as the mask goes it is none of these.
    NoneOf(u32, &'static [u32]),
    /// One of the bits at least.
    Bits(u32),
    /// The whole argument is this number.
    Whole(u64),
}

/// A fate for calls that pass all its tests.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// Number of the argument, and what is looked for there.
    pub(super) tests: Vec<(u8, Test)>,
    pub(super) fate: Fate,
}

/// A rule with one test.
pub(super) fn when(argument: u8, test: Test, fate: Fate) -> Rule {
    Rule { tests: vec![(argument, test)], fate }
}

impl Rule {
    pub(super) fn always(fate: Fate) -> Rule {
        Rule { tests: Vec::new(), fate }
    }

    pub(super) fn and(mut self, argument: u8, test: Test) -> Rule {
        self.tests.push((argument, test));
        self
    }
}
