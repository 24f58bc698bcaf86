//! draw: what top knows becomes a screen. Made for 80 columns and 24 lines; fewer show less.

use super::app::{App, Prompt, Trace, What};
use crate::render;
use millstream_host::ctl::{NodeStat, StreamStat};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Borders, Cell, Clear, Paragraph, Row, Table};

pub(super) fn draw(frame: &mut Frame<'_>, app: &App) {
    let rows = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(8),
        Constraint::Length(TRACE_LINES),
        Constraint::Length(1),
    ]);
    let [title, middle, below, foot] = rows.areas(frame.area());
    frame.render_widget(heading(app), title);
    let columns = Layout::horizontal([Constraint::Length(STREAMS_WIDTH), Constraint::Min(20)]);
    let [left, right] = columns.areas(middle);
    streams(frame, app, left);
    chain(frame, app, right);
    frame.render_widget(trace(app).block(Block::new().borders(Borders::TOP)), below);
    frame.render_widget(footer(app), foot);
    if app.help {
        help(frame);
    }
}

fn heading(app: &App) -> Paragraph<'_> {
    let stat = &app.stat;
    let pool = &stat.pool;
    let [used, limit] = [pool.memory_bytes, pool.limit_bytes].map(|n| render::short(n as u64));
    Paragraph::new(format!(
        "millstream {}  up {}  {} streams  pool {used}B of {limit}B  copied {}B/s",
        stat.name,
        render::time(stat.uptime_ms * 1_000_000),
        stat.streams.len() + stat.omitted,
        render::short(pool.copied_bytes),
    ))
    .style(BOLD)
}

/// Streams with what comes to their tops and bottoms.
fn streams(frame: &mut Frame<'_>, app: &App, area: Rect) {
    // Those around the chosen one, when there are more than fit.
    let fit = usize::from(area.height.saturating_sub(2)).max(1);
    let first = (app.stream + 1).saturating_sub(fit);
    let shown = app.stat.streams.iter().enumerate().skip(first).take(fit);
    let row = |(at, stream): (usize, &StreamStat)| {
        let msgs = busiest(stream);
        let row = Row::new([stream.name.clone(), render::short(msgs)]);
        if at == app.stream { row.style(CHOSEN) } else { row }
    };
    let widths = [Constraint::Min(8), Constraint::Length(7)];
    let table = Table::new(shown.map(row), widths)
        .header(Row::new(["stream", "msgs/s"]).style(BOLD))
        .block(Block::new().borders(Borders::RIGHT));
    frame.render_widget(table, area);
}

/// Messages per second where most of them pass.
fn busiest(stream: &StreamStat) -> u64 {
    let nodes = stream.nodes.iter().filter(|node| node.kind != "mux");
    nodes.map(|node| node.up.msgs + node.down.msgs).max().unwrap_or(0)
}

/// The chain of the chosen stream, top down.
fn chain(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let nodes = app.nodes();
    let slowest = nodes.iter().filter_map(|node| node.ns_per_msg).max().unwrap_or(0);
    let row = |(at, node): (usize, &&NodeStat)| {
        let row = Row::new(cells(node, slowest));
        if at == app.node { row.style(CHOSEN) } else { row }
    };
    let queues = nodes.iter().flat_map(|node| &node.drops);
    let dropped: Vec<String> =
        queues.map(|(reason, n)| format!("{}/s {reason}", render::short(*n))).collect();
    let widths = [
        Constraint::Min(10),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(9),
        Constraint::Length(6),
        Constraint::Length(BAR as u16 + 7),
    ];
    let heading = Row::new(["module", "up/s", "down/s", "queue", "drop/s", "ns per message"]);
    let title = app.chosen().map(|stream| stream.name.as_str()).unwrap_or("no stream");
    let blocked: Vec<String> = nodes.iter().flat_map(|node| blocked(node)).collect();
    let lines = 2.min(usize::from(!dropped.is_empty()) + usize::from(!blocked.is_empty()));
    let [top, notes] =
        Layout::vertical([Constraint::Min(3), Constraint::Length(lines as u16)]).areas(area);
    let table = Table::new(nodes.iter().enumerate().map(row), widths)
        .header(heading.style(BOLD))
        .block(Block::new().title(format!(" {title} ")));
    frame.render_widget(table, top);
    let notes_text = [("dropped: ", dropped), ("full: ", blocked)];
    let text: Vec<Line<'_>> = notes_text
        .into_iter()
        .filter(|(_, parts)| !parts.is_empty())
        .map(|(what, parts)| Line::from(format!(" {what}{}", parts.join(", "))))
        .collect();
    frame.render_widget(Paragraph::new(Text::from(text)), notes);
}

fn cells(node: &NodeStat, slowest: u64) -> [Cell<'static>; 6] {
    let name = match node.pos {
        Some(pos) => format!("{} ({pos})", node.name),
        None if node.kind == "mux" => format!("[{}]", node.name),
        None => node.name.clone(),
    };
    let queue = match (node.up.queue, node.down.queue) {
        (0, 0) => String::new(),
        (up, down) => format!("{}/{}", render::short(up as u64), render::short(down as u64)),
    };
    let dropped = if node.dropped > 0 { render::short(node.dropped) } else { String::new() };
    [
        Cell::new(name),
        Cell::new(render::short(node.up.msgs)),
        Cell::new(render::short(node.down.msgs)),
        Cell::new(queue),
        Cell::new(dropped),
        Cell::new(node.ns_per_msg.map(|ns| bar(ns, slowest)).unwrap_or_default()),
    ]
}

/// A bar as long as the time is of the longest, and the time.
fn bar(ns: u64, slowest: u64) -> String {
    let cells = (ns * BAR as u64).div_ceil(slowest.max(1)) as usize;
    format!("{:<BAR$} {}", "#".repeat(cells.min(BAR)), render::short(ns))
}

/// A queue that made writers wait, and for how much of each second.
fn blocked(node: &NodeStat) -> Vec<String> {
    let sides = [("up", node.up.blocked_ns), ("down", node.down.blocked_ns)];
    let waited = sides.into_iter().filter(|(_, ns)| *ns > 0);
    waited.map(|(side, ns)| format!("{} {side} {}/s", node.name, render::time(ns))).collect()
}

fn trace(app: &App) -> Paragraph<'_> {
    match &app.trace {
        Trace::None => Paragraph::new("t follows one message of the stream through all modules"),
        Trace::Waits(_) => Paragraph::new("waiting for a message ..."),
        Trace::Told(lines) => {
            Paragraph::new(lines.iter().map(|line| Line::from(line.as_str())).collect::<Vec<_>>())
        }
    }
}

fn footer(app: &App) -> Paragraph<'_> {
    match &app.prompt {
        Some(Prompt { what, text }) => {
            let what = match what {
                What::Push => "push".to_owned(),
                What::Insert(pos) => format!("insert at {pos}"),
            };
            let said = if app.said.is_empty() { "MODULE KEY=VALUE ..." } else { &app.said };
            Paragraph::new(format!("{what}: {text}_   ({said}; Enter does it, Esc leaves)"))
        }
        None if !app.said.is_empty() => Paragraph::new(app.said.as_str()).style(BOLD),
        None => Paragraph::new("p push  i insert  o pop  x remove  t trace  ? help  q quit"),
    }
}

fn help(frame: &mut Frame<'_>) {
    let area = frame.area();
    let [_, row, _] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(15), Constraint::Fill(1)])
            .areas(area);
    let [_, middle, _] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(64), Constraint::Fill(1)])
            .areas(row);
    frame.render_widget(Clear, middle);
    let block = Block::bordered().title(" keys ");
    frame.render_widget(Paragraph::new(HELP).block(block), middle);
}

const HELP: &str = "\
up, down     choose a stream
left, right  choose a module
p            push a module: its name and parameters
i            insert one above the chosen module
o            pop the topmost module
x            remove the chosen module
t            follow one message of the stream
q            quit

All figures are per second. queue: messages up/down that wait.
ns per message: of one dispatch in 61; the longest is a whole
bar. full: queues that made writers wait.
Any key goes back.";

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);
const STREAMS_WIDTH: u16 = 24;
const TRACE_LINES: u16 = 8;
/// Columns of the longest bar.
const BAR: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::graph::tests::stack as stat;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    /// The lines of a screen.
    fn screen(app: &App, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, app)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(line).collect()
    }

    fn app() -> App {
        let mut stat = stat();
        stat.streams[0].nodes[1].ns_per_msg = Some(400);
        stat.streams[0].nodes[2].ns_per_msg = Some(100);
        stat.streams[0].nodes[1].down.queue = 12;
        stat.streams[0].nodes[1].dropped = 3;
        stat.streams[0].nodes[1].drops.insert("arp: no answer".to_owned(), 3);
        stat.streams[0].nodes[2].down.blocked_ns = 3_100_000;
        App::new(stat)
    }

    #[test]
    fn eighty_by_twenty_four_shows_streams_chain_bars_queues_and_drops() {
        let lines = screen(&app(), 80, 24);
        let all = lines.join("\n");
        assert!(lines[0].starts_with("millstream lab  up 1.0 s  3 streams"), "{all}");
        assert!(lines.iter().any(|l| l.starts_with("tap0 ") && l.contains("15")), "{all}");
        let arp = lines.iter().find(|l| l.contains("arp (0)")).unwrap();
        assert!(arp.contains("0/12") && arp.contains("######## 400"), "{all}");
        let driver = lines.iter().find(|l| l.contains("##       100")).unwrap();
        assert!(driver.contains("tap0 ") && !driver.contains("###"), "{all}");
        assert!(all.contains("[ip]") && all.contains("dropped: 3/s arp: no answer"), "{all}");
        assert!(all.contains("full: tap0 down 3.1 ms/s"), "{all}");
        assert!(lines[23].contains("q quit"), "{all}");
    }

    #[test]
    fn the_prompt_the_trace_and_the_help_have_their_places() {
        let mut app = app();
        app.trace = Trace::Told(vec!["message 1: sent by tap0".to_owned()]);
        app.prompt = Some(Prompt { what: What::Insert(1), text: "null".to_owned() });
        let lines = screen(&app, 80, 24);
        assert!(lines[16].starts_with("message 1: sent by tap0"), "{lines:?}");
        assert!(lines[23].starts_with("insert at 1: null_"), "{lines:?}");
        app.help = true;
        assert!(screen(&app, 80, 24).join("\n").contains("remove the chosen module"));
    }

    #[test]
    fn any_size_is_drawn_and_no_streams_too() {
        let mut empty = app();
        empty.stat.streams.clear();
        for (width, height) in [(1, 1), (10, 3), (40, 10), (200, 60)] {
            for app in [&app(), &empty] {
                screen(app, width, height);
            }
        }
    }

    #[test]
    fn of_many_streams_the_chosen_one_is_seen() {
        let mut app = app();
        let one = app.stat.streams[0].clone();
        for id in 10..100 {
            app.stat.streams.push(StreamStat { name: format!("s{id}"), id, ..one.clone() });
        }
        app.choose_stream(80);
        assert!(screen(&app, 80, 24).iter().any(|line| line.starts_with("s87")));
    }
}
