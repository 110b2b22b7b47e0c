//! A bounded memory of results, least recently used out first.

use std::collections::{BTreeMap, HashMap};

pub(crate) struct Lru<V> {
    capacity: usize,
    tick: u64,
    entries: HashMap<[u8; 32], (V, u64)>,
    order: BTreeMap<u64, [u8; 32]>,
    pub hits: u64,
    pub misses: u64,
}

impl<V: Clone> Lru<V> {
    pub fn new(capacity: usize) -> Self {
        Lru { capacity, tick: 0, entries: HashMap::new(), order: BTreeMap::new(), hits: 0, misses: 0 }
    }

    pub fn get(&mut self, key: &[u8; 32]) -> Option<V> {
        let Some((value, at)) = self.entries.get_mut(key) else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        self.tick += 1;
        self.order.remove(at);
        self.order.insert(self.tick, *key);
        *at = self.tick;
        Some(value.clone())
    }

    pub fn put(&mut self, key: [u8; 32], value: V) {
        if self.capacity == 0 {
            return;
        }
        self.tick += 1;
        if let Some((_, old)) = self.entries.insert(key, (value, self.tick)) {
            self.order.remove(&old);
        }
        self.order.insert(self.tick, key);
        if self.entries.len() > self.capacity
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes() {
        let mut lru = Lru::new(2);
        lru.put([1; 32], 'a');
        lru.put([2; 32], 'b');
        assert_eq!(lru.get(&[1; 32]), Some('a'));
        lru.put([3; 32], 'c');
        assert_eq!(lru.get(&[2; 32]), None);
        assert_eq!(lru.get(&[1; 32]), Some('a'));
        assert_eq!((lru.hits, lru.misses, lru.entries.len(), lru.order.len()), (2, 1, 2, 2));
    }
}
