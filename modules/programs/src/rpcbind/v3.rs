//! v3: universal addresses instead of ports.

use super::{Mapper, to_uaddr};
use crate::wire::rpcbind::{
    Netbuf, Rpcb, RpcbListPtr, RpcbRmtcallargs, RpcbRmtcallres, RpcbprogV3,
};
use millstream_onc::xdr::{Opaque, Text};
use millstream_onc::{Answer, Asked};

impl RpcbprogV3 for Mapper {
    fn rpcbproc_set(&mut self, call: &mut Asked<'_>, _: Rpcb<'_>) -> Result<bool, Answer> {
        self.count(call);
        Ok(false)
    }

    fn rpcbproc_unset(&mut self, call: &mut Asked<'_>, _: Rpcb<'_>) -> Result<bool, Answer> {
        self.count(call);
        Ok(false)
    }

    fn rpcbproc_getaddr(&mut self, call: &mut Asked<'_>, of: Rpcb<'_>) -> Result<Text<'_>, Answer> {
        Ok(Text::from(self.address(call, &of, true)))
    }

    fn rpcbproc_dump(&mut self, call: &mut Asked<'_>) -> Result<RpcbListPtr<'_>, Answer> {
        Ok(self.dump(call))
    }

    fn rpcbproc_callit(
        &mut self,
        call: &mut Asked<'_>,
        of: RpcbRmtcallargs<'_>,
    ) -> Result<RpcbRmtcallres<'_>, Answer> {
        self.count(call);
        let passed = self.pass(call, [of.prog, of.vers, of.proc], &of.args, false);
        let (at, results) = passed.map_err(|_| Answer::Silent)?;
        Ok(RpcbRmtcallres { addr: Text::from(to_uaddr(at)), results: Opaque::from(results) })
    }

    fn rpcbproc_gettime(&mut self, call: &mut Asked<'_>) -> Result<u32, Answer> {
        Ok(self.time(call))
    }

    fn rpcbproc_uaddr2taddr(
        &mut self,
        call: &mut Asked<'_>,
        addr: Text<'_>,
    ) -> Result<Netbuf<'_>, Answer> {
        Ok(self.taddr(call, &addr))
    }

    fn rpcbproc_taddr2uaddr(
        &mut self,
        call: &mut Asked<'_>,
        addr: Netbuf<'_>,
    ) -> Result<Text<'_>, Answer> {
        Ok(self.universal(call, &addr))
    }
}
