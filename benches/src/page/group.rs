//! group: names of lines fall into groups that share a setting. `stack, sleeping, one core` and
//! `kernel, sleeping, one core` are `stack` and `kernel` of one group; what sleeps is never in one
//! with what polls, where the names say it.

/// Names of one setting.
#[derive(Debug, PartialEq)]
pub(super) struct Group<'a> {
    /// What they share; empty when that is nothing.
    pub(super) setting: String,
    /// Each with what is left of it.
    pub(super) members: Vec<(&'a str, String)>,
}

/// Groups in the order of their first member. As many parts from the end are the setting as leave
/// no name alone.
pub(super) fn groups<'a>(names: &[&'a str]) -> Vec<Group<'a>> {
    let longest = names.iter().map(|name| name.split(", ").count()).min().unwrap_or(1) - 1;
    let best = (1..=longest).rev().map(|parts| split(names, parts));
    let together = |groups: &Vec<Group<'_>>| groups.iter().all(|group| group.members.len() > 1);
    best.into_iter().find(together).unwrap_or_else(|| split(names, 0))
}

fn split<'a>(names: &[&'a str], parts: usize) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for &name in names {
        let all: Vec<&str> = name.split(", ").collect();
        let (rest, setting) = all.split_at(all.len() - parts);
        let (rest, setting) = (rest.join(", "), setting.join(", "));
        match groups.iter_mut().find(|group| group.setting == setting) {
            Some(group) => group.members.push((name, rest)),
            None => groups.push(Group { setting, members: vec![(name, rest)] }),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sleeps_and_what_polls_are_apart() {
        let names = [
            "thread, enter, 64 outstanding, sleeping",
            "process, 64 outstanding, sleeping",
            "thread, enter, 64 outstanding, polling",
            "process, 64 outstanding, polling",
        ];
        let groups = groups(&names);
        let settings: Vec<&str> = groups.iter().map(|group| &*group.setting).collect();
        assert_eq!(settings, ["64 outstanding, sleeping", "64 outstanding, polling"]);
        assert_eq!(groups[0].members[0], (names[0], "thread, enter".to_owned()));
    }

    #[test]
    fn names_without_a_common_setting_are_one_group() {
        let groups = groups(&["pause, 10 streams", "pause, 10,000 streams", "other"]);
        assert_eq!((groups.len(), &*groups[0].setting), (1, ""));
        assert_eq!(groups[0].members[1].1, "pause, 10,000 streams");
    }
}
