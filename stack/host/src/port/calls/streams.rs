//! Calls of STREAMS: messages, bytes and ioctls of a stream.

use super::{Answer, Call, id};
use crate::port::Ports;
use crate::port::served::{Served, What};
use crate::streamio;
use millstream_core::ioctl::Cred;
use millstream_core::{Errno, Perimeter, Priority, Want};
use millstream_msg::Band;
use millstream_port::lane::{Request, op};
use millstream_port::streamio::{Asked, I_FDINSERT, I_LINK, I_PLINK, I_RECVFD, I_SENDFD};

/// Bytes of a data part, or of what is read.
const DATA_MAX: usize = 1 << 16;
/// Bytes of a control part.
const CONTROL_MAX: usize = 1 << 10;

impl Ports {
    /// A device is opened, or a pipe.
    pub(super) fn open(&mut self, core: &mut Perimeter, call: &Call<'_>) -> Answer {
        if call.request.op == op::PIPE {
            let ends = core.pipe(["pipe", "pipe"]);
            let mut ids = [0; 2];
            for (at, end) in ends.into_iter().enumerate() {
                match self.add(core, call.at, |_| Ok(What::Stream(end))) {
                    Ok(id) => ids[at] = id,
                    Err(errno) => {
                        // The first goes by its number, or with the program.
                        ends[at..].iter().for_each(|end| drop(core.close(*end)));
                        return Err(errno);
                    }
                }
            }
            return Ok(([ids[0].into(), ids[1].into(), 0], Vec::new()));
        }
        let name = std::str::from_utf8(call.input).map_err(|_| Errno::EINVAL)?;
        let found = self.devices.iter().find(|(known, _)| known == name);
        let mux = found.ok_or(Errno::ENODEV)?.1;
        let open = |core: &mut Perimeter| {
            core.open_mux(mux, name).map(What::Stream).map_err(|_| Errno::ENOBUFS)
        };
        self.add(core, call.at, open).map(id)
    }

    pub(super) fn stream_call(
        &mut self,
        core: &mut Perimeter,
        key: u32,
        call: &Call<'_>,
    ) -> Answer {
        let Request { op, args, .. } = call.request;
        let stream = self.get(key).map(Served::stream).ok_or(Errno::EBADF)?;
        let room =
            |room: i64, most: usize| usize::try_from(room).ok().map(|n| vec![0; n.min(most)]);
        match op {
            op::PUTMSG => {
                let (control, data) = parts(call.input, args[0], args[1])?;
                let priority = match args[2] {
                    -1 => Priority::High,
                    band => Priority::Band(u8::try_from(band).map_err(|_| Errno::EINVAL)?),
                };
                core.putpmsg(stream, control, data, priority).map(|()| super::nothing())
            }
            op::GETMSG => {
                let want = match args[0] {
                    -2 => Want::Any,
                    -1 => Want::High,
                    band => Want::Band(Band(u8::try_from(band).map_err(|_| Errno::EINVAL)?)),
                };
                let (mut control, mut data) = (room(args[1], CONTROL_MAX), room(args[2], DATA_MAX));
                let (into, also) = (control.as_deref_mut(), data.as_deref_mut());
                let got = core.getpmsg_into(stream, want, into, also)?;
                let Some(got) = got else { return Ok(([-1, 0, 0], Vec::new())) };
                let len = |part: Option<usize>| part.map_or(-1, |len| len as i64);
                let flags = i64::from(got.more_control)
                    | i64::from(got.more_data) << 1
                    | i64::from(got.high) << 2
                    | i64::from(got.band.0) << 8;
                let mut bytes = Vec::new();
                for (part, len) in [(control, got.control), (data, got.data)] {
                    bytes.extend_from_slice(&part.unwrap_or_default()[..len.unwrap_or(0)]);
                }
                Ok(([flags, len(got.control), len(got.data)], bytes))
            }
            op::READ => {
                let mut out = room(args[0], DATA_MAX).ok_or(Errno::EINVAL)?;
                let len = core.read(stream, &mut out)?;
                out.truncate(len);
                Ok(super::bytes(&out))
            }
            op::WRITE => Ok(([core.write(stream, call.input)? as i64, 0, 0], Vec::new())),
            _ => self.ioctl(core, stream, call),
        }
    }

    fn ioctl(
        &mut self,
        core: &mut Perimeter,
        stream: millstream_core::StreamId,
        call: &Call<'_>,
    ) -> Answer {
        let [cmd, arg, ..] = call.request.args;
        let cmd = u32::try_from(cmd).map_err(|_| Errno::EINVAL)?;
        match cmd {
            I_SENDFD => {
                self.hand_over(core, call.at, stream, arg as u32)?;
                return Ok((Asked::Done(0, 0).to_values(), Vec::new()));
            }
            I_RECVFD => return self.take_over(core, call.at, stream),
            _ => {}
        }
        let client = self.client(call.at).ok_or(Errno::EBADF)?;
        let other = match cmd {
            I_LINK | I_PLINK | I_FDINSERT => {
                let (_, key) = client.named(arg as u32).ok_or(Errno::EBADF)?;
                self.get(key).map(Served::stream)
            }
            _ => None,
        };
        let cred = Cred { uid: client.uid, gid: client.gid };
        let call = streamio::Call { cmd, arg, input: call.input, other, cred };
        let (asked, bytes) = streamio::ioctl(core, stream, &call)?;
        Ok((asked.to_values(), bytes))
    }
}

/// Control part and data part.
type Parts<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// Both parts of a message, whose lengths are these; -1 for none.
fn parts(input: &[u8], control: i64, data: i64) -> Result<Parts<'_>, Errno> {
    let len = |len: i64| usize::try_from(len).ok();
    let (control_len, data_len) = (len(control), len(data));
    let (control, rest) = input.split_at_checked(control_len.unwrap_or(0)).ok_or(Errno::EINVAL)?;
    let data = rest.get(..data_len.unwrap_or(0)).ok_or(Errno::EINVAL)?;
    Ok((control_len.map(|_| control), data_len.map(|_| data)))
}
