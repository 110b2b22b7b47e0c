//! A memory of results that is bounded in number and in bytes, least recently used out first.

use std::collections::{BTreeMap, HashMap};

pub(crate) struct Lru<V> {
    capacity: usize,
    /// Bytes of all values together, as who puts them in reckons.
    most_bytes: usize,
    bytes: usize,
    tick: u64,
    entries: HashMap<[u8; 32], Entry<V>>,
    order: BTreeMap<u64, [u8; 32]>,
    pub hits: u64,
    pub misses: u64,
}

struct Entry<V> {
    value: V,
    bytes: usize,
    used: u64,
}

impl<V: Clone> Lru<V> {
    pub fn new(capacity: usize, most_bytes: usize) -> Self {
        let (entries, order) = (HashMap::new(), BTreeMap::new());
        Lru { capacity, most_bytes, bytes: 0, tick: 0, entries, order, hits: 0, misses: 0 }
    }

    pub fn get(&mut self, key: &[u8; 32]) -> Option<V> {
        let Some(entry) = self.entries.get_mut(key) else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        self.tick += 1;
        self.order.remove(&entry.used);
        self.order.insert(self.tick, *key);
        entry.used = self.tick;
        Some(entry.value.clone())
    }

    /// Keeps a value of so many bytes; one that is larger than all may be together is not kept.
    pub fn put(&mut self, key: [u8; 32], value: V, bytes: usize) {
        self.remove(&key);
        if self.capacity == 0 || bytes > self.most_bytes {
            return;
        }
        self.tick += 1;
        self.bytes += bytes;
        self.entries.insert(key, Entry { value, bytes, used: self.tick });
        self.order.insert(self.tick, key);
        while self.entries.len() > self.capacity || self.bytes > self.most_bytes {
            let Some((_, oldest)) = self.order.first_key_value() else { return };
            let oldest = *oldest;
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, key: &[u8; 32]) {
        if let Some(old) = self.entries.remove(key) {
            self.bytes -= old.bytes;
            self.order.remove(&old.used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes() {
        let mut lru = Lru::new(2, 100);
        lru.put([1; 32], 'a', 1);
        lru.put([2; 32], 'b', 1);
        assert_eq!(lru.get(&[1; 32]), Some('a'));
        lru.put([3; 32], 'c', 1);
        assert_eq!(lru.get(&[2; 32]), None);
        assert_eq!(lru.get(&[1; 32]), Some('a'));
        assert_eq!((lru.hits, lru.misses, lru.entries.len(), lru.order.len()), (2, 1, 2, 2));
    }

    #[test]
    fn large_values_push_others_out_and_the_largest_is_not_kept() {
        let mut lru = Lru::new(10, 100);
        lru.put([1; 32], 'a', 40);
        lru.put([2; 32], 'b', 40);
        lru.put([1; 32], 'A', 50);
        lru.put([3; 32], 'c', 60);
        assert_eq!((lru.get(&[1; 32]), lru.get(&[2; 32]), lru.get(&[3; 32])), (None, None, Some('c')));
        lru.put([4; 32], 'd', 101);
        assert_eq!((lru.get(&[4; 32]), lru.get(&[3; 32]), lru.bytes), (None, Some('c'), 60));
    }
}
