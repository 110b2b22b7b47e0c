//! Python's `marshal` format, the few types needed to hand a program to the zygote's child.
//!
//! The child reads it with one C function. Only the supervisor writes it, so that the format's
//! lack of checks does not matter.

/// A tuple under construction.
pub(crate) struct Tuple {
    count: u32,
    body: Vec<u8>,
}

impl Tuple {
    pub(crate) fn new() -> Self {
        Tuple { count: 0, body: Vec::new() }
    }

    fn sized(&mut self, tag: u8, bytes: &[u8]) {
        self.count += 1;
        self.body.push(tag);
        self.body.extend((bytes.len() as u32).to_le_bytes());
        self.body.extend_from_slice(bytes);
    }

    /// `bytes`.
    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.sized(b's', value);
    }

    /// `str`.
    pub(crate) fn text(&mut self, value: &str) {
        self.sized(b'u', value.as_bytes());
    }

    /// `str` of what the system gives as bytes: those that are no UTF-8 become surrogates, as Python itself has them in
    /// `sys.argv` and turns them back into bytes.
    pub(crate) fn system_text(&mut self, value: &[u8]) {
        let mut text = Vec::with_capacity(value.len());
        for chunk in value.utf8_chunks() {
            text.extend(chunk.valid().bytes());
            for byte in chunk.invalid() {
                // U+DC00 and the byte; 0x80 at least.
                text.extend([0xed, 0xb0 | byte >> 6, 0x80 | byte & 0x3f]);
            }
        }
        self.sized(b'u', &text);
    }

    /// `int`.
    pub(crate) fn int(&mut self, value: u64) {
        self.count += 1;
        if value < 1 << 31 {
            self.body.push(b'i');
            self.body.extend((value as u32).to_le_bytes());
        } else {
            // Python's own long form: digits of 15 bits.
            let mut digits = Vec::new();
            let mut rest = value;
            while rest > 0 {
                digits.push((rest & 0x7fff) as u16);
                rest >>= 15;
            }
            self.body.push(b'l');
            self.body.extend((digits.len() as u32).to_le_bytes());
            for d in digits {
                self.body.extend(d.to_le_bytes());
            }
        }
    }

    /// A tuple within.
    pub(crate) fn tuple(&mut self, value: Tuple) {
        self.count += 1;
        self.body.extend(value.finish());
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.body.len() + 5);
        out.push(b'(');
        out.extend(self.count.to_le_bytes());
        out.extend(self.body);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::Tuple;

    #[test]
    fn bytes_are_those_of_python() {
        // python3 -c "import marshal; print(marshal.dumps(('a', b'b', 7, (), 1 << 33), 2).hex())"
        let mut t = Tuple::new();
        t.text("a");
        t.bytes(b"b");
        t.int(7);
        t.tuple(Tuple::new());
        t.int(1 << 33);
        let hex: String = t.finish().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "280500000075010000006173010000006269070000002800000000\
             6c03000000000000000800"
        );
        // marshal.dumps((os.fsdecode(b"a\xff\x80"),), 2)
        let mut t = Tuple::new();
        t.system_text(b"a\xff\x80");
        assert_eq!(t.finish(), b"(\x01\0\0\0u\x07\0\0\0a\xed\xb3\xbf\xed\xb2\x80");
    }
}
