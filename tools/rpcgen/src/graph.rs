//! Which types contain which: circles, and an order in which what is contained comes first.

/// Groups of nodes that reach each other, each in front of those that reach it (Tarjan 1972).
/// `edges[n]` are the nodes that `n` leads to. Without recursion: chains may be long.
pub(crate) fn groups(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut walk = Walk {
        number: vec![None; edges.len()],
        low: vec![0; edges.len()],
        open: vec![false; edges.len()],
        stack: Vec::new(),
        groups: Vec::new(),
        next: 0,
    };
    for start in 0..edges.len() {
        if walk.number[start].is_none() {
            walk.from(start, edges);
        }
    }
    walk.groups
}

struct Walk {
    /// In which order nodes were met.
    number: Vec<Option<usize>>,
    /// The least number that is reached and open.
    low: Vec<usize>,
    /// On the stack: its group is not complete.
    open: Vec<bool>,
    stack: Vec<usize>,
    groups: Vec<Vec<usize>>,
    next: usize,
}

impl Walk {
    fn from(&mut self, start: usize, edges: &[Vec<usize>]) {
        self.enter(start);
        // Nodes on the way, each with the number of the edge to look at.
        let mut way = vec![(start, 0)];
        while let Some((node, edge)) = way.last_mut() {
            let node = *node;
            if let Some(&to) = edges[node].get(*edge) {
                *edge += 1;
                match self.number[to] {
                    None => {
                        self.enter(to);
                        way.push((to, 0));
                    }
                    Some(number) if self.open[to] => self.low[node] = self.low[node].min(number),
                    Some(_) => {}
                }
                continue;
            }
            way.pop();
            if let Some(&(before, _)) = way.last() {
                self.low[before] = self.low[before].min(self.low[node]);
            }
            if Some(self.low[node]) == self.number[node] {
                self.close(node);
            }
        }
    }

    fn enter(&mut self, node: usize) {
        self.number[node] = Some(self.next);
        self.low[node] = self.next;
        self.next += 1;
        self.open[node] = true;
        self.stack.push(node);
    }

    /// The nodes from `node` on are a group.
    fn close(&mut self, node: usize) {
        let at = self.stack.iter().rposition(|&n| n == node).unwrap_or(0);
        let group = self.stack.split_off(at);
        group.iter().for_each(|&n| self.open[n] = false);
        self.groups.push(group);
    }
}

#[cfg(test)]
mod tests {
    use super::groups;

    #[test]
    fn what_is_reached_comes_first_and_circles_are_one_group() {
        let found = groups(&[vec![1], vec![2, 3], vec![1], vec![3], vec![0]]);
        let found: Vec<Vec<usize>> = found
            .into_iter()
            .map(|mut group| {
                group.sort_unstable();
                group
            })
            .collect();
        assert_eq!(found, [vec![3], vec![1, 2], vec![0], vec![4]]);
    }

    #[test]
    fn a_chain_of_a_million_takes_no_stack() {
        let edges: Vec<Vec<usize>> = (1..1_000_000).map(|n| vec![n]).chain([vec![]]).collect();
        assert_eq!(groups(&edges).len(), 1_000_000);
    }
}
