//! interface: the interfaces of a network namespace as `pnet` finds them, and the one that a raw
//! socket is to take.

use crate::raw::RawError;
use pnet_datalink::NetworkInterface;

/// Names of all interfaces in the namespace of the calling thread, as the kernel orders them.
pub fn interfaces() -> Vec<String> {
    pnet_datalink::interfaces().into_iter().map(|interface| interface.name).collect()
}

/// The Ethernet interface `name`, switched on.
pub(crate) fn usable(name: &str) -> Result<NetworkInterface, RawError> {
    let all = pnet_datalink::interfaces();
    let Some(found) = all.iter().find(|interface| interface.name == name) else {
        let known: Vec<_> = all.into_iter().map(|interface| interface.name).collect();
        return Err(RawError::NoInterface { name: name.to_owned(), known: known.join(", ") });
    };
    if found.is_loopback() || found.is_point_to_point() || found.mac.is_none() {
        return Err(RawError::NotEthernet { name: name.to_owned() });
    }
    if !found.is_up() {
        return Err(RawError::Down { name: name.to_owned() });
    }
    Ok(found.clone())
}
