//! access: who asks, and what the mode of an object lets them do.

use crate::vfs::{Attr, Kind};

/// A caller, as the server takes them: squashed where the export says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// User; 0 may do everything.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Further groups.
    pub gids: Vec<u32>,
}

/// Who of the callers is nobody in particular.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Squash {
    /// None but those without credentials.
    None,
    /// Root.
    #[default]
    Root,
    /// All.
    All,
}

/// Reading, as in a mode.
pub const READ: u32 = 4;
/// Writing.
pub const WRITE: u32 = 2;
/// Executing; searching, of directories.
pub const EXECUTE: u32 = 1;

impl Caller {
    /// The caller that a credential names, squashed; `None` is one without credential.
    pub fn squashed(
        credential: Option<(u32, u32, &[u32])>,
        squash: Squash,
        anonymous: (u32, u32),
    ) -> Self {
        let nobody = Self { uid: anonymous.0, gid: anonymous.1, gids: Vec::new() };
        match (credential, squash) {
            (None, _) | (_, Squash::All) | (Some((0, ..)), Squash::Root) => nobody,
            (Some((uid, gid, gids)), Squash::None) => Self { uid, gid, gids: gids.to_vec() },
            (Some((uid, gid, gids)), Squash::Root) => Self {
                uid,
                gid: if gid == 0 { anonymous.1 } else { gid },
                gids: gids.iter().copied().filter(|gid| *gid != 0).collect(),
            },
        }
    }

    /// May they do what only the owner may?
    pub fn owns(&self, attr: &Attr) -> bool {
        self.uid == 0 || self.uid == attr.uid
    }

    /// Are they of this group?
    pub fn is_of(&self, gid: u32) -> bool {
        self.gid == gid || self.gids.contains(&gid)
    }

    /// What the mode lets them do: [`READ`], [`WRITE`] and [`EXECUTE`].
    pub fn rights(&self, attr: &Attr) -> u32 {
        if self.uid == 0 {
            let runs = attr.kind == Kind::Dir || attr.mode & 0o111 != 0;
            return READ | WRITE | if runs { EXECUTE } else { 0 };
        }
        let shift = match () {
            () if self.uid == attr.uid => 6,
            () if self.is_of(attr.gid) => 3,
            () => 0,
        };
        attr.mode >> shift & 7
    }

    /// Do they have all these rights?
    pub fn may(&self, attr: &Attr, rights: u32) -> bool {
        self.rights(attr) & rights == rights
    }

    /// May they read or write octets? Nobody has a file open here: its owner may go on after its
    /// mode was taken away, and what can be run can be read.
    pub fn may_octets(&self, attr: &Attr, right: u32) -> bool {
        self.owns(attr)
            || self.rights(attr) & right != 0
            || right == READ && self.rights(attr) & EXECUTE != 0
    }

    /// May they take a name out of a directory that they may write to?
    pub fn may_unname(&self, dir: &Attr, object: &Attr) -> bool {
        dir.mode & STICKY == 0 || self.owns(dir) || self.owns(object)
    }
}

/// Only owners take names out of such a directory.
const STICKY: u32 = 0o1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::Time;

    fn attr(kind: Kind, mode: u32) -> Attr {
        let time = Time::default();
        Attr {
            kind,
            mode,
            links: 1,
            uid: 10,
            gid: 20,
            size: 0,
            used: 0,
            device: (0, 0),
            fsid: 0,
            number: 1,
            atime: time,
            mtime: time,
            ctime: time,
        }
    }

    fn caller(uid: u32, gid: u32, gids: &[u32]) -> Caller {
        Caller { uid, gid, gids: gids.to_vec() }
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        let file = attr(Kind::File, 0o174);
        assert_eq!(caller(10, 20, &[]).rights(&file), 1);
        assert_eq!(caller(11, 20, &[]).rights(&file), 7);
        assert_eq!(caller(11, 21, &[5, 20]).rights(&file), 7);
        assert_eq!(caller(11, 21, &[]).rights(&file), 4);
    }

    #[test]
    fn root_may_all_but_run_what_nobody_may() {
        let root = caller(0, 0, &[]);
        assert_eq!(root.rights(&attr(Kind::File, 0)), READ | WRITE);
        assert_eq!(root.rights(&attr(Kind::File, 0o010)), READ | WRITE | EXECUTE);
        assert_eq!(root.rights(&attr(Kind::Dir, 0)), READ | WRITE | EXECUTE);
    }

    #[test]
    fn octets_are_the_owners_whatever_the_mode_is() {
        let file = attr(Kind::File, 0o001);
        assert!(caller(10, 0, &[]).may_octets(&file, WRITE));
        assert!(!caller(11, 20, &[]).may_octets(&file, READ));
        assert!(caller(11, 21, &[]).may_octets(&file, READ));
        assert!(!caller(11, 21, &[]).may_octets(&file, WRITE));
    }

    #[test]
    fn a_sticky_directory_keeps_the_names_of_others() {
        let (open, sticky) = (attr(Kind::Dir, 0o777), attr(Kind::Dir, 0o1777));
        let file = Attr { uid: 12, ..attr(Kind::File, 0o644) };
        for (uid, may) in [(10, true), (11, false), (12, true), (0, true)] {
            assert!(caller(uid, 1, &[]).may_unname(&open, &file));
            assert_eq!(caller(uid, 1, &[]).may_unname(&sticky, &file), may, "{uid}");
        }
    }

    #[test]
    fn squashed_callers_are_nobody_and_bring_no_group_of_root() {
        let squashed = |credential, squash| Caller::squashed(credential, squash, (98, 99));
        let nobody = caller(98, 99, &[]);
        let root: (u32, u32, &[u32]) = (0, 0, &[0, 4]);
        assert_eq!(squashed(None, Squash::None), nobody);
        assert_eq!(squashed(Some(root), Squash::None), caller(0, 0, &[0, 4]));
        assert_eq!(squashed(Some(root), Squash::Root), nobody);
        assert_eq!(squashed(Some((5, 0, &[0, 4])), Squash::Root), caller(5, 99, &[4]));
        assert_eq!(squashed(Some((5, 6, &[7])), Squash::All), nobody);
    }
}
