//! keys: a key changes what is chosen, or the stack.

use super::app::{App, Ask, Prompt, Trace, What};
use crate::cmd::params;
use millstream_host::ctl::{CtlError, Param, Request};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Does what a key stands for; true when it ends the program.
///
/// # Errors
/// The stack has gone. What it refuses is only said.
pub(super) fn press(app: &mut App, stack: &mut impl Ask, key: KeyEvent) -> Result<bool, CtlError> {
    if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
        return Ok(true);
    }
    if let Some(prompt) = app.prompt.take() {
        type_on(app, stack, prompt, key.code)?;
        return Ok(false);
    }
    if std::mem::take(&mut app.help) {
        return Ok(false);
    }
    app.said.clear();
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return Ok(true),
        KeyCode::Char('?' | 'h') | KeyCode::F(1) => app.help = true,
        KeyCode::Up | KeyCode::Char('k') => app.choose_stream(-1),
        KeyCode::Down | KeyCode::Char('j') => app.choose_stream(1),
        KeyCode::Left | KeyCode::BackTab => app.choose_node(-1),
        KeyCode::Right | KeyCode::Tab => app.choose_node(1),
        KeyCode::Char('p') => ask_for(app, What::Push),
        // Above the chosen module; above the bottom when none is chosen.
        KeyCode::Char('i') => ask_for(app, What::Insert(app.pos().map_or(0, |pos| pos + 1))),
        KeyCode::Char('o') => {
            let request = stream(app).map(|stream| Request::Pop { stream });
            change(app, stack, request, "popped")?;
        }
        KeyCode::Char('x') => {
            let request = stream(app).zip(app.pos());
            let request = request.map(|(stream, pos)| Request::Remove { stream, pos });
            if request.is_none() {
                app.said = "choose a module with the arrows first".to_owned();
            }
            change(app, stack, request, "removed")?;
        }
        KeyCode::Char('t') => trace(app, stack)?,
        _ => {}
    }
    Ok(false)
}

fn ask_for(app: &mut App, what: What) {
    app.prompt = stream(app).map(|_| Prompt { what, text: String::new() });
}

fn type_on(
    app: &mut App,
    stack: &mut impl Ask,
    mut prompt: Prompt,
    code: KeyCode,
) -> Result<(), CtlError> {
    match code {
        KeyCode::Esc => return Ok(()),
        KeyCode::Enter => return put_in(app, stack, &prompt),
        KeyCode::Backspace => drop(prompt.text.pop()),
        KeyCode::Char(c) if prompt.text.len() < PROMPT_MAX => prompt.text.push(c),
        _ => {}
    }
    app.prompt = Some(prompt);
    Ok(())
}

fn put_in(app: &mut App, stack: &mut impl Ask, prompt: &Prompt) -> Result<(), CtlError> {
    let mut words = prompt.text.split_whitespace();
    let (Some(module), Some(stream)) = (words.next(), stream(app)) else { return Ok(()) };
    let module = module.to_owned();
    let mut params: Vec<Param> = match words.map(params::parse).collect() {
        Ok(params) => params,
        Err(why) => {
            // It can be mended.
            app.said = why;
            app.prompt = Some(prompt.clone());
            return Ok(());
        }
    };
    params::settle(&mut params);
    let request = match prompt.what {
        What::Push => Request::Push { stream, module, params },
        What::Insert(pos) => Request::Insert { stream, pos, module, params },
    };
    change(app, stack, Some(request), "put in")
}

/// Changes the stack and says so; the new chain is shown with the next reading.
fn change(
    app: &mut App,
    stack: &mut impl Ask,
    request: Option<Request>,
    done: &str,
) -> Result<(), CtlError> {
    let Some(request) = request else { return Ok(()) };
    match stack.ask(&request) {
        Ok(answer) => app.said = format!("{} {done}", crate::render::plain(&answer["module"])),
        Err(CtlError::Refused(why)) => app.said = why,
        Err(gone) => return Err(gone),
    }
    Ok(())
}

fn trace(app: &mut App, stack: &mut impl Ask) -> Result<(), CtlError> {
    let Some(stream) = stream(app) else { return Ok(()) };
    let request = Request::Trace { stream, way: None, matching: None, count: 1 };
    match stack.ask(&request) {
        Ok(_) => app.trace = Trace::Waits(0),
        Err(CtlError::Refused(why)) => app.said = why,
        Err(gone) => return Err(gone),
    }
    Ok(())
}

/// The chosen stream as requests name it: several may have one name.
fn stream(app: &App) -> Option<String> {
    app.chosen().map(|stream| format!("{}#{}", stream.name, stream.id))
}

/// Longer than any list of parameters that somebody types. Bytes.
const PROMPT_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::graph::tests::stack as stat;
    use serde_json::{Value, json};

    /// Remembers what it was asked, and refuses everything with `refuses`.
    #[derive(Default)]
    struct Fake {
        asked: Vec<Request>,
        refuses: bool,
        gone: bool,
    }

    impl Ask for Fake {
        fn ask(&mut self, request: &Request) -> Result<Value, CtlError> {
            self.asked.push(request.clone());
            if self.gone {
                return Err(CtlError::NoneRuns);
            }
            if self.refuses {
                return Err(CtlError::Refused("it does not fit".to_owned()));
            }
            Ok(json!({ "module": "null", "paths": [] }))
        }
    }

    fn app() -> App {
        App::new(stat())
    }

    fn press_all(app: &mut App, fake: &mut Fake, keys: &str) {
        for c in keys.chars() {
            let code = if c == '\n' { KeyCode::Enter } else { KeyCode::Char(c) };
            assert!(!press(app, fake, KeyEvent::from(code)).unwrap(), "{c}");
        }
    }

    #[test]
    fn a_module_is_pushed_with_what_was_typed() {
        let (mut app, mut fake) = (app(), Fake::default());
        press_all(&mut app, &mut fake, "pimpair delay=5ms\n");
        let (stream, module) = ("tap0#1".to_owned(), "impair".to_owned());
        let params = vec![Param("delay".to_owned(), "5ms".to_owned())];
        assert_eq!(fake.asked, [Request::Push { stream, module, params }]);
        assert_eq!((app.prompt, &*app.said), (None, "null put in"));
    }

    #[test]
    fn insert_pop_and_remove_go_to_the_chosen_module() {
        let (mut app, mut fake) = (app(), Fake::default());
        press_all(&mut app, &mut fake, "inull\nox");
        let stream = || "tap0#1".to_owned();
        let (module, params) = ("null".to_owned(), Vec::new());
        let expected = [
            Request::Insert { stream: stream(), pos: 1, module, params },
            Request::Pop { stream: stream() },
            Request::Remove { stream: stream(), pos: 0 },
        ];
        assert_eq!(fake.asked, expected);
        // The multiplexor above cannot be removed.
        press(&mut app, &mut fake, KeyEvent::from(KeyCode::Left)).unwrap();
        press_all(&mut app, &mut fake, "x");
        assert_eq!((fake.asked.len(), &*app.said), (3, "choose a module with the arrows first"));
    }

    #[test]
    fn what_is_mistyped_can_be_mended_and_what_is_refused_is_said() {
        let (mut app, mut fake) = (app(), Fake { refuses: true, ..Fake::default() });
        press_all(&mut app, &mut fake, "pnull delay\n");
        assert!(app.said.contains("key=value") && fake.asked.is_empty());
        assert_eq!(app.prompt.as_ref().unwrap().text, "null delay");
        press_all(&mut app, &mut fake, "=1\n");
        assert_eq!((fake.asked.len(), &*app.said), (1, "it does not fit"));
        press_all(&mut app, &mut fake, "pq");
        press(&mut app, &mut fake, KeyEvent::from(KeyCode::Esc)).unwrap();
        assert_eq!(app.prompt, None, "q was typed, not pressed");
    }

    #[test]
    fn a_stack_that_has_gone_and_the_keys_for_it_end_the_program() {
        let (mut app, mut fake) = (app(), Fake { gone: true, ..Fake::default() });
        assert!(press(&mut app, &mut fake, KeyEvent::from(KeyCode::Char('o'))).is_err());
        assert!(press(&mut app, &mut fake, KeyEvent::from(KeyCode::Char('q'))).unwrap());
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        app.prompt = Some(Prompt { what: What::Push, text: String::new() });
        assert!(press(&mut app, &mut fake, interrupt).unwrap());
    }

    #[test]
    fn a_trace_waits_for_its_message_and_gives_up() {
        let (mut app, mut fake) = (app(), Fake::default());
        press_all(&mut app, &mut fake, "t");
        assert_eq!(app.trace, Trace::Waits(0));
        for _ in 0..20 {
            app.update(stat(), &mut fake).unwrap();
        }
        assert_eq!(app.trace, Trace::Told(vec!["no message came".to_owned()]));
        let last = fake.asked.iter().filter(|r| matches!(r, Request::Traced { last: true, .. }));
        assert_eq!(last.count(), 1);
    }

    #[test]
    fn the_choice_stays_with_its_stream_when_others_come_and_go() {
        let (mut app, mut fake) = (app(), Fake::default());
        app.choose_stream(2);
        assert_eq!(app.chosen().unwrap().name, "udp.1");
        let mut fewer = stat();
        fewer.streams.remove(1);
        app.update(fewer, &mut fake).unwrap();
        assert_eq!(app.chosen().unwrap().name, "udp.1");
        let mut none = stat();
        none.streams.clear();
        app.update(none, &mut fake).unwrap();
        press_all(&mut app, &mut fake, "poxijkt");
        assert!(fake.asked.is_empty() && app.chosen().is_none());
    }
}
