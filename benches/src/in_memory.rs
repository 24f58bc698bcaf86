//! in_memory: the same UDP echo twice without an interface: as a stack of modules, and as the same
//! protocol functions called one after the other. Frames go in, the answers come out. In [`tcp`] a
//! program's connection in both forms.

mod fused;
mod layered;
pub mod tcp;
mod wire;

pub use fused::Fused;
pub use layered::Layered;
pub use wire::Shape;

use crate::Trouble;
use millstream_msg::{MsgList, Pool};

/// A stack that answers frames.
pub trait Echo {
    /// Where its frames come from.
    fn pool(&mut self) -> &mut Pool;

    /// Takes frames and gives the answers.
    fn echo(&mut self, frames: MsgList) -> MsgList;
}

/// Lets a stack learn its client, and do what comes once.
fn introduce(stack: &mut dyn Echo) -> Result<(), Trouble> {
    let question = stack.pool().copy_from(0, &wire::question()).map_err(|why| why.to_string())?;
    let first = Shape::Small.frames(stack.pool(), 1)?;
    for frames in [std::iter::once(question).collect(), first] {
        for answer in stack.echo(frames) {
            stack.pool().free(answer);
        }
    }
    Ok(())
}

/// A batch through a stack; nanoseconds it took, without making the frames and freeing them.
///
/// # Errors
/// When not each frame is answered.
pub fn batch(stack: &mut dyn Echo, shape: Shape, count: usize) -> Result<f64, Trouble> {
    let frames = shape.frames(stack.pool(), count)?;
    let began = std::time::Instant::now();
    let answers = stack.echo(frames);
    let took = began.elapsed();
    let answered = answers.len();
    for answer in answers {
        stack.pool().free(answer);
    }
    // A shard does this once in a turn.
    stack.pool().run_deferred();
    if answered == count {
        Ok(took.as_nanos() as f64)
    } else {
        Err(format!("{answered} of {count} frames were answered").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers of a stack to a batch, as bytes.
    fn answers(stack: &mut dyn Echo, shape: Shape) -> Vec<Vec<u8>> {
        let frames = shape.frames(stack.pool(), 3).unwrap();
        let bytes = |msg: millstream_msg::Msg| {
            let mut bytes = vec![0; msg.len()];
            msg.copy_out(0, &mut bytes);
            bytes
        };
        stack.echo(frames).map(bytes).collect()
    }

    #[test]
    fn both_forms_answer_alike_to_the_byte() {
        for shape in Shape::ALL {
            let layered = answers(&mut Layered::new().unwrap(), shape);
            let fused = answers(&mut Fused::new().unwrap(), shape);
            assert_eq!(layered.len(), 3, "{shape}");
            // The identification of IP is random, and its checksum with it.
            let plain = |frames: &[Vec<u8>]| -> Vec<Vec<u8>> {
                let mut frames = frames.to_vec();
                for frame in &mut frames {
                    frame[18..20].fill(0);
                    frame[24..26].fill(0);
                }
                frames
            };
            assert_eq!(plain(&layered), plain(&fused), "{shape}");
        }
    }
}
