//! An event log as a picture: a lane a host, time downwards, a frame a turn, a box a callback, an arrow for what was on its way.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use torsade::event_log::{Entry, Subject, fingerprint};

use super::arrows::{Arrow, arrows};
use super::scripts::Story;

const GUTTER: u32 = 70;
const LANE: u32 = 246;
const BOX: u32 = 226;
const ROW: u32 = 22;
/// What happened at so nearly the same time stands side by side: less than anything is on its way.
const SIDE_BY_SIDE: Duration = Duration::from_micros(500);
/// Characters that a box has room for.
const FITS: usize = 33;

const STYLE: &str = "<style>\
text{font:11px ui-monospace,Menlo,Consolas,monospace;fill:#1f2328}.h{font-size:13px;font-weight:bold}.s{fill:#59636e}\
.bg{fill:#fff}.lane{stroke:#d1d9e0}.turn{fill:#f6f8fa;stroke:#d1d9e0}.gap{stroke:#b0b8c0;stroke-dasharray:2 4}\
.c{fill:#ddf4ff;stroke:#54aeff}.t{fill:#fff8c5;stroke:#d4a72c}.l{fill:#ffebe9;stroke:#ff8182}.o{fill:#eaeef2;stroke:#afb8c1}\
.a{stroke:#0969da;fill:none;stroke-width:1.4}.p{fill:#0969da}.g{stroke-dasharray:4 3}.mark{stroke:#cf222e}.mt{fill:#cf222e}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.s{fill:#9198a1}.bg{fill:#0d1117}.lane{stroke:#3d444d}\
.turn{fill:#151b23;stroke:#3d444d}.gap{stroke:#656c76}.c{fill:#12304f;stroke:#316dca}.t{fill:#3d2f0a;stroke:#9e6a03}\
.l{fill:#4c1b1f;stroke:#b62324}.o{fill:#262c36;stroke:#656c76}.a{stroke:#4493f8}.p{fill:#4493f8}.mark{stroke:#f85149}\
.mt{fill:#f85149}}</style>";

/// Draws the log of a story.
pub fn draw(story: &Story) -> String {
    let lanes: Vec<&str> = story.hosts.iter().map(|(ip, _)| *ip).collect();
    let entries: Vec<Entry> =
        story.log.entries().iter().filter(|entry| lanes.contains(&&*entry.host) && is_told(story, entry)).cloned().collect();
    let arrows = arrows(&entries);
    let is_shown =
        |at: usize| story.everything || !is_internal(story, &entries[at]) || arrows.iter().any(|arrow| arrow.from == at);
    let shown: Vec<usize> = (0..entries.len()).filter(|at| is_shown(*at)).collect();
    let mut picture = Picture {
        story,
        entries: &entries,
        places: BTreeMap::new(),
        back: String::new(),
        front: String::new(),
        y: 46,
        row: Default::default(),
    };
    picture.events(&shown);
    for arrow in &arrows {
        picture.arrow(arrow);
    }
    picture.finish()
}

/// Whether it is a call of which nobody sees anything: on the server, and where a client begins to connect.
fn is_internal(story: &Story, entry: &Entry) -> bool {
    let is_server = story.hosts.iter().any(|(ip, name)| *ip == &*entry.host && *name == "server");
    match entry.event.subject {
        Subject::Timer { sequence } => is_server || sequence < 2,
        Subject::Thread => true,
        _ => false,
    }
}

/// The hooks of factories are told once, in the first picture.
fn is_told(story: &Story, entry: &Entry) -> bool {
    let hooks = ["start_factory", "stop_factory", "build_protocol", "client_connection_made", "client_connection_lost"];
    story.everything || !hooks.contains(&&*entry.event.callback)
}

/// Turns that stand side by side: the lanes that are taken, the time of the first, and where they begin.
struct Row {
    lanes: Vec<u32>,
    since: Duration,
    top: u32,
}

struct Picture<'a> {
    story: &'a Story,
    entries: &'a [Entry],
    /// The lane and the middle of each box, by its event.
    places: BTreeMap<usize, (u32, u32)>,
    back: String,
    front: String,
    /// How far it is drawn.
    y: u32,
    row: Option<Row>,
}

impl Picture<'_> {
    fn width(&self) -> u32 {
        GUTTER + LANE * self.lane_count() + 4
    }

    fn lane_count(&self) -> u32 {
        u32::try_from(self.story.hosts.len()).unwrap_or(1)
    }

    fn lane(&self, host: &str) -> u32 {
        let place = self.story.hosts.iter().position(|(ip, _)| *ip == host).unwrap_or(0);
        u32::try_from(place).unwrap_or(0)
    }

    /// The left edge of a lane's boxes.
    const fn left(lane: u32) -> u32 {
        GUTTER + lane * LANE + (LANE - BOX) / 2
    }

    /// Turn by turn, with what the network did between them.
    fn events(&mut self, shown: &[usize]) {
        let mut marks = self.story.marks.iter().peekable();
        let turn_of = |at: usize| (&self.entries[at].host, self.entries[at].event.turn, self.entries[at].event.time);
        let mut before = Duration::ZERO;
        for turn in shown.chunk_by(|one, next| turn_of(*one) == turn_of(*next)) {
            let time = self.entries[turn[0]].event.time;
            while let Some((at, what)) = marks.next_if(|(at, _)| *at <= time) {
                self.gap(*at - before);
                self.mark(*at, what);
                before = *at;
            }
            self.gap(time - before);
            before = time;
            self.turn(turn);
        }
        for (at, what) in marks {
            self.mark(*at, what);
        }
    }

    /// Says how long nothing happened, if that is worth it.
    fn gap(&mut self, time: Duration) {
        if time >= Duration::from_millis(100) {
            let (y, right) = (self.y + 9, self.width() - 12);
            let text = format!("{:.1} s later", time.as_secs_f64());
            let from = 16 + 7 * text.len();
            let _ = write!(
                self.front,
                r#"<text class="s" x="8" y="{}">{text}</text><path class="gap" d="M{from} {y}H{right}"/>"#,
                y + 4
            );
            self.y += 20;
            self.row = None;
        }
    }

    fn mark(&mut self, at: Duration, what: &str) {
        let (y, right) = (self.y + 18, self.width() - 8);
        let text = format!("{} s: {what}", at.as_secs());
        let _ =
            write!(self.front, r#"<text class="mt" x="8" y="{}">{text}</text><path class="mark" d="M8 {y}H{right}"/>"#, y - 5);
        self.y += 26;
        self.row = None;
    }

    /// A frame with the callbacks of one turn of one host.
    fn turn(&mut self, turn: &[usize]) {
        let first = &self.entries[turn[0]];
        let (lane, time) = (self.lane(&first.host), first.event.time);
        let bottom = self.y;
        let beside = self.row.take().filter(|row| !row.lanes.contains(&lane) && time - row.since <= SIDE_BY_SIDE);
        let mut row = beside.unwrap_or_else(|| {
            let _ = write!(self.front, r#"<text class="s" x="8" y="{}">{:.3} s</text>"#, bottom + 31, time.as_secs_f64());
            Row { lanes: Vec::new(), since: time, top: bottom }
        });
        row.lanes.push(lane);
        let top = row.top;
        self.row = Some(row);
        let height = 18 + ROW * u32::try_from(turn.len()).unwrap_or(1);
        let x = Self::left(lane) - 5;
        let _ = write!(self.back, r#"<rect class="turn" x="{x}" y="{top}" width="{}" height="{height}" rx="5"/>"#, BOX + 10);
        let _ = write!(self.front, r#"<text class="s" x="{}" y="{}">turn {}</text>"#, x + 6, top + 12, first.event.turn);
        self.y = top + 16;
        for at in turn {
            self.event(*at, lane);
        }
        self.y = bottom.max(self.y + 8);
    }

    fn event(&mut self, at: usize, lane: u32) {
        let (class, label) = (class(&self.entries[at]), self.label(&self.entries[at]));
        let (x, y) = (Self::left(lane), self.y);
        let _ = write!(self.front, r#"<rect class="{class}" x="{x}" y="{y}" width="{BOX}" height="18" rx="3"/>"#);
        let _ = write!(self.front, r#"<text x="{}" y="{}">{}</text>"#, x + 5, y + 13, escaped(&label));
        self.places.insert(at, (lane, y + 9));
        self.y += ROW;
    }

    /// What happened: the callback, what it got, and whose connection it is where there are several.
    fn label(&self, entry: &Entry) -> String {
        let event = &entry.event;
        let name = match &event.subject {
            Subject::Timer { sequence } => return format!("a delayed call (number {sequence})"),
            Subject::Thread => return "a name was looked up".into(),
            Subject::Reactor => return format!("the program is {}", event.callback),
            Subject::Connection { peer, .. } => {
                let ip = peer.rsplit_once(':').map_or("", |(ip, _)| ip);
                let of = self.story.hosts.iter().find(|(host, _)| *host == ip).map_or("", |(_, name)| name);
                if self.lane_count() < 3 || of == "server" { String::new() } else { format!("{of}: ") }
            }
            _ => String::new(),
        } + &event.callback;
        match (event.bytes, &event.reason) {
            (Some(bytes), _) => format!("{name} {}", self.data(bytes, event.hash, FITS.saturating_sub(name.len() + 1))),
            (None, Some(reason)) => format!("{} {reason}", name.replace("connection_lost", "lost:")),
            (None, None) => name,
        }
    }

    /// The data, if its hash is that of something known and there is room; its length otherwise.
    fn data(&self, bytes: u64, hash: Option<u64>, room: usize) -> String {
        let known = self.story.said.iter().find(|text| Some(fingerprint(text.as_bytes())) == hash);
        let text = known.map(|text| format!("\"{}\"", text.escape_debug()));
        match text {
            Some(text) if text.len() <= room => text,
            Some(text) => format!("{}…\"", text.chars().take(room.saturating_sub(2)).collect::<String>()),
            None if bytes == 1 => "1 byte".into(),
            None => format!("{bytes} bytes"),
        }
    }

    /// From the box of one event to that of another, in another lane.
    fn arrow(&mut self, arrow: &Arrow) {
        let (Some(&(from, y1)), Some(&(to, y2))) = (self.places.get(&arrow.from), self.places.get(&arrow.to)) else { return };
        if from == to {
            return;
        }
        let (x1, x2, point) = if from < to {
            (Self::left(from) + BOX, Self::left(to), Self::left(to) - 6)
        } else {
            (Self::left(from), Self::left(to) + BOX, Self::left(to) + BOX + 6)
        };
        let class = if arrow.guessed { "a g" } else { "a" };
        let middle = u32::midpoint(x1, point);
        let _ = write!(self.front, r#"<path class="{class}" d="M{x1} {y1}C{middle} {y1} {middle} {y2} {point} {y2}"/>"#);
        let _ = write!(self.front, r#"<path class="p" d="M{x2} {y2}L{point} {}V{}Z"/>"#, y2 - 4, y2 + 4);
    }

    fn finish(mut self) -> String {
        let (width, height) = (self.width(), self.y + 8);
        let mut lanes = String::new();
        for (ip, name) in self.story.hosts {
            let lane = self.lane(ip);
            let middle = Self::left(lane) + BOX / 2;
            let _ = write!(lanes, r#"<path class="lane" d="M{middle} 44V{}"/>"#, height - 6);
            let _ = write!(self.front, r#"<text class="h" x="{0}" y="38">{name}</text>"#, Self::left(lane));
            let x = Self::left(lane) + 8 * u32::try_from(name.len() + 1).unwrap_or(0);
            let _ = write!(self.front, r#"<text class="s" x="{x}" y="38">{ip}</text>"#);
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\
             <title>{title}</title>{STYLE}<rect class=\"bg\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>{lanes}{back}\
             <text class=\"h\" x=\"8\" y=\"18\">{title}</text>{front}</svg>\n",
            title = escaped(self.story.title),
            back = self.back,
            front = self.front
        )
    }
}

/// What colour it has.
fn class(entry: &Entry) -> &'static str {
    match &entry.event.subject {
        Subject::Connection { .. } if entry.event.callback == "connection_lost" => "l",
        Subject::Connection { .. } => "c",
        Subject::Timer { .. } => "t",
        Subject::Reactor => "l",
        _ => "o",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
