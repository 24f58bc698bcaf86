//! v2: the port mapper, which knows IPv4 and its two transports.

use super::Mapper;
use crate::wire::rpcbind::{
    PMAP_IPPROTO_TCP, PMAP_IPPROTO_UDP, PmapCallArgs, PmapCallResult, PmapList, PmapListPtr,
    PmapMapping, RpcbprogV2,
};
use millstream_onc::xdr::Opaque;
use millstream_onc::{Answer, Asked, Transport};

impl RpcbprogV2 for Mapper {
    fn pmapproc_set(&mut self, call: &mut Asked<'_>, _: PmapMapping) -> Result<bool, Answer> {
        self.count(call);
        Ok(false)
    }

    fn pmapproc_unset(&mut self, call: &mut Asked<'_>, _: PmapMapping) -> Result<bool, Answer> {
        self.count(call);
        Ok(false)
    }

    fn pmapproc_getport(&mut self, call: &mut Asked<'_>, of: PmapMapping) -> Result<u32, Answer> {
        self.count(call);
        let Some(transport) = transport(of.prot) else { return Ok(0) };
        let found = self.find(call, (of.prog, of.vers), transport, true);
        Ok(found.map_or(0, |at| at.port().into()))
    }

    fn pmapproc_dump(&mut self, call: &mut Asked<'_>) -> Result<PmapListPtr, Answer> {
        self.count(call);
        let bindings = self.bindings.all().into_iter().filter(|binding| binding.at.is_ipv4());
        Ok(bindings
            .map(|binding| {
                let (prog, vers, port) = (binding.program, binding.version, binding.at.port());
                let prot = protocol(binding.transport);
                PmapList { map: PmapMapping { prog, vers, prot, port: port.into() } }
            })
            .collect())
    }

    /// Nothing is said when the call went wrong: it was a broadcast, mostly.
    fn pmapproc_callit(
        &mut self,
        call: &mut Asked<'_>,
        of: PmapCallArgs<'_>,
    ) -> Result<PmapCallResult<'_>, Answer> {
        self.count(call);
        let passed = self.pass(call, [of.prog, of.vers, of.proc], &of.args, false);
        let (at, results) = passed.map_err(|_| Answer::Silent)?;
        Ok(PmapCallResult { port: at.port().into(), res: Opaque::from(results) })
    }
}

fn transport(protocol: u32) -> Option<Transport> {
    match protocol {
        PMAP_IPPROTO_TCP => Some(Transport::Tcp),
        PMAP_IPPROTO_UDP => Some(Transport::Udp),
        _ => None,
    }
}

fn protocol(transport: Transport) -> u32 {
    match transport {
        Transport::Tcp => PMAP_IPPROTO_TCP,
        Transport::Udp => PMAP_IPPROTO_UDP,
    }
}
