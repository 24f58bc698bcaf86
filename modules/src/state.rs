//! What a module hands to its successor, taken out of its box again.

use millstream_core::{Refused, State};

/// The value of a state of this module and version; any other is given back with a sentence.
pub(crate) fn take<T: 'static>(state: State, name: &str, version: u32) -> Result<T, Refused> {
    if state.name != name {
        return Err(Refused { why: "the state is of another module", state });
    }
    if state.version != version {
        return Err(Refused { why: "the state is of another version of the module", state });
    }
    let State { name, version, value } = state;
    value.downcast().map(|value| *value).map_err(|value| {
        let state = State { name, version, value };
        Refused { why: "the state is of another program", state }
    })
}
