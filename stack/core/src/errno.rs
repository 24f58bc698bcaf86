//! Error numbers as POSIX names them, without a C library.

use millstream_msg::{Kind, Msg, NoMem, Pool};

/// An error number. The head and the C interfaces give it to programs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

macro_rules! errnos {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        impl Errno {
            $(#[doc = $text] pub const $name: Self = Self($number);)*

            /// The name, e.g. `EAGAIN`.
            pub const fn name(self) -> &'static str {
                match self.0 { $($number => stringify!($name),)* _ => "errno" }
            }

            /// A sentence.
            pub const fn text(self) -> &'static str {
                match self.0 { $($number => $text,)* _ => "unknown error" }
            }
        }
    };
}

errnos! {
    EPERM = 1, "operation not permitted";
    ENOENT = 2, "no such entry";
    EINTR = 4, "interrupted";
    EIO = 5, "input or output failed";
    ENXIO = 6, "no such device: the line is gone";
    EBADF = 9, "not an open stream";
    EAGAIN = 11, "would have to wait";
    ENOMEM = 12, "out of memory";
    EACCES = 13, "permission denied";
    EFAULT = 14, "bad address";
    EBUSY = 16, "busy";
    EEXIST = 17, "exists already";
    ENODEV = 19, "no such device";
    EINVAL = 22, "invalid argument";
    EMFILE = 24, "too many descriptors";
    ENOSPC = 28, "no space left";
    EPIPE = 32, "nobody reads the other end";
    ERANGE = 34, "out of range";
    ENOSTR = 60, "not a stream";
    ENODATA = 61, "no data";
    ETIME = 62, "timer expired";
    ENOSR = 63, "out of stream resources";
    EPROTO = 71, "protocol error";
    EBADMSG = 74, "not such a message";
    EBADFD = 77, "descriptor in bad state";
    EOVERFLOW = 75, "value too large";
    EDESTADDRREQ = 89, "destination address required";
    EMSGSIZE = 90, "message too long";
    ENOPROTOOPT = 92, "no such option";
    EPROTONOSUPPORT = 93, "protocol not supported";
    ESOCKTNOSUPPORT = 94, "socket type not supported";
    EOPNOTSUPP = 95, "operation not supported";
    EAFNOSUPPORT = 97, "address family not supported";
    EADDRINUSE = 98, "address in use";
    EADDRNOTAVAIL = 99, "address not available";
    ENETDOWN = 100, "network is down";
    ENETUNREACH = 101, "network is unreachable";
    ECONNABORTED = 103, "connection aborted";
    ECONNRESET = 104, "connection reset by the peer";
    ENOBUFS = 105, "no buffer space";
    EISCONN = 106, "already connected";
    ENOTCONN = 107, "not connected";
    ETIMEDOUT = 110, "timed out";
    ECONNREFUSED = 111, "refused";
    EHOSTUNREACH = 113, "no route to host";
    EALREADY = 114, "already under way";
    EINPROGRESS = 115, "under way";
}

impl Errno {
    /// M_ERROR: the stream that it goes up fails with this error, both ways (E1).
    ///
    /// # Errors
    /// [`NoMem`].
    pub fn to_msg(self, pool: &mut Pool) -> Result<Msg, NoMem> {
        let mut msg = pool.alloc_reserve(0, 1)?;
        msg.set_kind(Kind::Error);
        msg.spare_mut()[0] = self.0 as u8;
        msg.commit(1);
        Ok(msg)
    }
}

impl core::fmt::Debug for Errno {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

impl core::fmt::Display for Errno {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} ({})", self.text(), self.name())
    }
}

impl core::error::Error for Errno {}
