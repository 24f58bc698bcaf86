//! v4: as version 3, with look-ups that take one version alone or all transports, calls whose
//! errors are told, and statistics.

use super::counts::Counts;
use super::{Mapper, netid, to_uaddr};
use crate::wire::rpcbind::{
    NC_TPI_CLTS, NC_TPI_COTS_ORD, Netbuf, Rpcb, RpcbEntry, RpcbEntryList, RpcbEntryListPtr,
    RpcbListPtr, RpcbRmtcallargs, RpcbRmtcallres, RpcbStat, RpcbStatByvers, RpcbprogV3, RpcbprogV4,
    RpcbsAddrlist, RpcbsRmtcalllist,
};
use millstream_onc::xdr::{Opaque, Text};
use millstream_onc::{Answer, Asked, Transport};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

impl RpcbprogV4 for Mapper {
    fn rpcbproc_set(&mut self, call: &mut Asked<'_>, of: Rpcb<'_>) -> Result<bool, Answer> {
        RpcbprogV3::rpcbproc_set(self, call, of)
    }

    fn rpcbproc_unset(&mut self, call: &mut Asked<'_>, of: Rpcb<'_>) -> Result<bool, Answer> {
        RpcbprogV3::rpcbproc_unset(self, call, of)
    }

    fn rpcbproc_getaddr(&mut self, call: &mut Asked<'_>, of: Rpcb<'_>) -> Result<Text<'_>, Answer> {
        RpcbprogV3::rpcbproc_getaddr(self, call, of)
    }

    fn rpcbproc_dump(&mut self, call: &mut Asked<'_>) -> Result<RpcbListPtr<'_>, Answer> {
        RpcbprogV3::rpcbproc_dump(self, call)
    }

    fn rpcbproc_bcast(
        &mut self,
        call: &mut Asked<'_>,
        of: RpcbRmtcallargs<'_>,
    ) -> Result<RpcbRmtcallres<'_>, Answer> {
        RpcbprogV3::rpcbproc_callit(self, call, of)
    }

    fn rpcbproc_gettime(&mut self, call: &mut Asked<'_>) -> Result<u32, Answer> {
        RpcbprogV3::rpcbproc_gettime(self, call)
    }

    fn rpcbproc_uaddr2taddr(
        &mut self,
        call: &mut Asked<'_>,
        addr: Text<'_>,
    ) -> Result<Netbuf<'_>, Answer> {
        RpcbprogV3::rpcbproc_uaddr2taddr(self, call, addr)
    }

    fn rpcbproc_taddr2uaddr(
        &mut self,
        call: &mut Asked<'_>,
        addr: Netbuf<'_>,
    ) -> Result<Text<'_>, Answer> {
        RpcbprogV3::rpcbproc_taddr2uaddr(self, call, addr)
    }

    fn rpcbproc_getversaddr(
        &mut self,
        call: &mut Asked<'_>,
        of: Rpcb<'_>,
    ) -> Result<Text<'_>, Answer> {
        Ok(Text::from(self.address(call, &of, false)))
    }

    /// As BCAST, but what went wrong is told.
    fn rpcbproc_indirect(
        &mut self,
        call: &mut Asked<'_>,
        of: RpcbRmtcallargs<'_>,
    ) -> Result<RpcbRmtcallres<'_>, Answer> {
        self.count(call);
        let (at, results) = self.pass(call, [of.prog, of.vers, of.proc], &of.args, true)?;
        Ok(RpcbRmtcallres { addr: Text::from(to_uaddr(at)), results: Opaque::from(results) })
    }

    fn rpcbproc_getaddrlist(
        &mut self,
        call: &mut Asked<'_>,
        of: Rpcb<'_>,
    ) -> Result<RpcbEntryListPtr<'_>, Answer> {
        self.count(call);
        let entries = [Transport::Udp, Transport::Tcp].map(|transport| {
            let at = self.find(call, (of.r_prog, of.r_vers), transport, false)?;
            Some(RpcbEntryList { map: entry(transport, at) })
        });
        Ok(entries.into_iter().flatten().collect())
    }

    fn rpcbproc_getstat(&mut self, call: &mut Asked<'_>) -> Result<RpcbStatByvers<'_>, Answer> {
        self.count(call);
        Ok(self.counts.each_ref().map(statistics))
    }
}

/// What netconfig(5) has on a transport, and where it is reached.
fn entry(transport: Transport, at: SocketAddr) -> RpcbEntry<'static> {
    let (semantics, protocol) = match transport {
        Transport::Tcp => (NC_TPI_COTS_ORD, "tcp"),
        Transport::Udp => (NC_TPI_CLTS, "udp"),
    };
    RpcbEntry {
        r_maddr: Text::from(to_uaddr(at)),
        r_nc_netid: Text::from(netid(transport, at.ip())),
        r_nc_semantics: semantics,
        r_nc_protofmly: Text::from(if at.is_ipv4() { "inet" } else { "inet6" }),
        r_nc_proto: Text::from(protocol),
    }
}

/// Nobody sets anything over the wire: of that there are no counts.
fn statistics(counts: &Counts) -> RpcbStat<'static> {
    let name = |transport| Text::from(netid(transport, IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
    let lookups = counts.lookups.iter().map(|one| RpcbsAddrlist {
        prog: one.of[0],
        vers: one.of[1],
        success: one.found,
        failure: one.missed,
        netid: name(one.transport),
    });
    let passed = counts.passed.iter().map(|one| RpcbsRmtcalllist {
        prog: one.to[0],
        vers: one.to[1],
        proc: one.to[2],
        success: one.answered,
        failure: one.failed,
        indirect: one.indirect.into(),
        netid: name(one.transport),
    });
    RpcbStat {
        info: counts.procedures,
        setinfo: 0,
        unsetinfo: 0,
        addrinfo: lookups.collect(),
        rmtinfo: passed.collect(),
    }
}
