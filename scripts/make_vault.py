"""Write a large, realistic vault for benchmarks: `make_vault.py DIR [--sessions N] [--seed S]`.

The same seed gives the same bytes. With 20,000 sessions: about 630,000 messages, 460 MB.

The sizes and times of a full-text index depend on the statistics of the text, so every sentence
is drawn afresh: function words come from some two hundred sentence patterns, content words from a
vocabulary of some 60,000 forms with a two-regime Zipf law (slope 1, then 1.9 in the tail), each
project and session has words of its own that it repeats, and numbers, hashes, paths and
identifiers add the tail that never ends (Heaps).

`--queries FILE` also writes query words by the number of messages they stand in.
"""

from __future__ import annotations

import argparse
import bisect
import hashlib
import itertools
import math
import os
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

Draw = Callable[[], str]

FIRST_DAY = 1_700_438_400  # 2023-11-20T00:00:00Z, a Monday
DAYS = 3 * 365 + 1
MESSAGES_PER_SESSION = 31.5
ID_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
MODELS = (
    ("openai", "gpt-5-mini", 30),
    ("anthropic", "claude-sonnet-4-5", 34),
    ("gemini", "gemini-2.5-flash", 10),
    ("ollama", "qwen3:14b", 16),
    ("openrouter", "mistralai/mistral-small-3.2", 10),
)
SKILLS = ("reviewer", "writer", "planner", "teacher", "shell")

# ---------------------------------------------------------------- words: a real core, then invented


def split(text: str) -> list[str]:
    return text.split()


NOUNS = split("""
file code time data way user thing test line value error list type name case function part work
message problem point change version number session system result example project server command
question step note table key model query index field text page memory path string class object
answer folder method option set process state request response service module package event day
config setting library script database row column client interface host port network token cache
thread task job queue worker log trace build release branch commit merge patch review issue ticket
deadline meeting plan idea goal decision reason team person people week month year hour minute
morning evening place word sentence paragraph section chapter book article letter email document
report summary draft title topic link image picture video song music film game story house room
kitchen table garden street city country school student teacher course lesson exam language
grammar translation doctor health sleep food meal recipe bread rice sauce oil salt water coffee tea
dinner lunch breakfast family child mother father friend brother sister partner dog cat train
flight ticket hotel trip holiday weather rain summer winter spring budget price cost money bank
account card invoice payment tax salary contract client customer company office manager market
product feature design layout color button screen window menu form input output label icon font
theme style view page widget component template layer container cluster node pod volume image
registry pipeline stage job runner artifact environment variable secret certificate domain address
gateway proxy router firewall subnet region zone instance disk backup snapshot restore migration
schema constraint transaction lock deadlock isolation rollback trigger cursor driver connection
pool timeout retry limit quota rate latency throughput bandwidth load traffic peak average median
percentile histogram metric alert dashboard incident outage cause fix workaround regression bug
crash exception stack frame pointer reference buffer array vector matrix tensor graph tree node
edge leaf root branch loop condition expression statement operator operand argument parameter
return scope closure callback promise future coroutine generator iterator decorator annotation
protocol header payload body cookie session login password permission role group policy rule
audit license privacy security attack threat risk signature hash digest salt cipher encryption
compiler parser lexer grammar syntax token keyword identifier literal comment docstring linter
formatter editor terminal shell prompt cursor keyboard mouse screen laptop phone tablet battery
charger cable sensor camera microphone speaker printer scanner device hardware software firmware
kernel driver process signal interrupt scheduler clock timer calendar schedule reminder appointment
agenda minutes action item owner stakeholder milestone roadmap quarter sprint backlog estimate
priority severity impact scope requirement specification proposal feedback comment opinion argument
evidence fact claim theory experiment sample population mean variance deviation distribution
probability sequence series equation formula proof theorem lemma axiom number prime factor sum
product ratio fraction percentage angle distance speed mass energy force pressure temperature
volume density surface area length width height depth weight shape circle square triangle
direction position location map route road bridge river lake sea ocean island mountain hill forest
tree flower plant seed soil field farm animal bird fish horse insect egg milk cheese butter sugar
flour onion garlic pepper tomato potato carrot apple lemon orange berry nut chocolate cake soup
salad chicken beef pork oven pan pot knife fork spoon plate bowl cup glass bottle box bag basket
shelf drawer door wall floor roof stair lamp chair desk bed pillow blanket towel soap brush mirror
shirt shoe jacket coat dress hat scarf glove ring watch gift party wedding birthday concert museum
gallery painting sculpture poem novel author reader character plot scene chapter dialogue rhythm
melody chord guitar piano drum voice sound noise silence light shadow darkness fire smoke air wind
cloud storm snow ice sun moon star planet space universe history war peace law court judge crime
police government election vote party president minister citizen right duty freedom power
economy trade industry factory machine engine wheel vehicle car bus bicycle boat ship airport
station platform journey visitor guest neighbour community society culture religion tradition
habit exercise muscle heart brain blood skin bone eye ear nose mouth tooth hand finger arm leg foot
head hair face pain fever medicine treatment therapy hospital nurse patient symptom disease allergy
mood stress anger fear joy hope love dream thought belief doubt surprise mistake success failure
effort skill talent knowledge wisdom experience advice help support service offer order delivery
package parcel stamp envelope paper pen pencil notebook newspaper magazine library archive record
copy original duplicate conflict difference similarity comparison choice alternative preference
default exception category tag filter search match score rank snippet highlight keyword phrase
prefix suffix pattern regex wildcard glob directory symlink inode checksum timestamp newline
encoding byte character glyph locale timezone offset epoch tick interval duration period window
threshold boundary margin padding grid column gutter baseline viewport canvas pixel vertex shader
texture mesh animation transition easing gesture scroll drag drop click hover focus shortcut
benchmark profile flamegraph hotspot bottleneck allocation garbage heap leak fragment segment page
sector block chunk stream pipe socket packet datagram handshake session heartbeat consensus quorum
leader follower replica shard partition offset topic consumer producer broker subscription webhook
endpoint resource collection pagination cursor sdk api cli gui ide orm dsl json yaml csv xml html
css sql regex python rust javascript typescript java kotlin swift ruby docker kubernetes terraform
ansible linux macos windows android postgres sqlite redis kafka nginx git github makefile wheel
""")

VERBS = split("""
use make get go work run need take see know want find give add set try look help write read call
start change keep show think move create check put build open turn include follow return handle
update remove save load send store test fix pass fail define support expect explain ask tell
happen seem allow require avoid prevent replace cause lead continue stop finish close begin learn
remember forget compare choose decide consider suggest recommend prefer plan prepare review merge
commit push pull clone branch deploy release install upgrade configure enable disable connect
disconnect listen wait retry block lock unlock parse format print render display compute calculate
measure count sort filter search match join split group select insert delete copy rename wrap
convert encode decode compress extract import export generate validate verify confirm reject accept
raise catch throw log trace debug profile optimize reduce increase improve limit extend implement
design document describe mention note report track monitor watch notify trigger schedule cancel
resume pause reset restore recover migrate replicate sync cache fetch request respond serve route
bind mount attach detach scan walk traverse visit collect gather combine separate isolate inject
mock assert cover cook bake boil fry mix pour cut chop serve eat drink sleep walk drive ride fly
travel arrive leave stay visit meet invite talk speak listen sing play draw paint teach study
practise train translate spell pronounce pay buy sell order deliver ship pack carry hold drop pick
throw pull lift climb fall sit stand lie wear wash clean dry repair replace paint plant grow water
feed care worry hope wish believe doubt agree argue promise offer share borrow lend owe earn spend
win lose fight protect attack defend escape hide reveal discover explore investigate analyse
estimate assume guess predict prove solve simplify expand summarise organise arrange assign
delegate approve publish announce launch adopt adapt adjust align depend belong remain become
represent indicate imply mean refer relate apply supply reply rely vary differ exceed reach
""")

ADJECTIVES = split("""
new good same other small large simple different first last next long short old current main full
empty clear right wrong local remote single whole important possible available useful common
specific general similar real true false high low fast slow early late easy hard hot cold warm
free open closed public private safe secure stable strict explicit implicit direct indirect final
initial default custom optional required missing extra separate independent internal external
global static dynamic active passive valid invalid correct incorrect exact approximate rough
precise consistent inconsistent atomic concurrent parallel serial synchronous asynchronous lazy
eager idle busy heavy light deep shallow wide narrow thick thin bright dark loud quiet calm
nervous happy sad angry tired hungry healthy sick strong weak young modern ancient recent
previous following weekly daily monthly annual regular unusual strange normal typical natural
artificial human technical legal financial medical social personal professional academic
practical theoretical historical political cultural national international foreign native fluent
formal informal polite rude kind gentle friendly honest fair careful careless curious creative
clever smart wise serious funny boring interesting exciting beautiful ugly clean dirty fresh
stale sweet sour bitter salty spicy raw ripe soft smooth sharp flat round square straight curved
broken robust fragile flexible rigid portable compatible redundant duplicate unique random
sequential recursive iterative linear quadratic logarithmic exponential constant variable mutable
immutable nullable generic abstract concrete virtual physical logical binary numeric textual
visual verbose terse readable legible obscure obvious subtle minor major critical urgent relevant
""")

ADVERBS = split("""
then also only just now still already here there always never often usually sometimes rarely soon
later again together instead however therefore otherwise perhaps maybe probably certainly almost
nearly exactly roughly quickly slowly carefully simply directly mostly mainly usually finally first
""")

NAMES = split("""
Anna Ben Clara David Elena Felix Grace Hugo Irene Jonas Karin Lukas Maria Nils Olga Paul Rosa Simon
Tara Viktor Wanda Yusuf Zoë José Renée François Jürgen Müller Łukasz Søren Björn Chloé Inés Núñez
García Dvořák Čapek Özil Ångström Señora Zürich München Málaga Kraków Reykjavík Orléans Besançon
Berlin Paris London Madrid Lisbon Oslo Vienna Prague Dublin Boston Denver Seattle Austin Toronto
Tokyo Seoul Taipei Nairobi Lagos Lima Bogotá Montréal Québec café naïve résumé façade jalapeño
crème brûlée piñata fiancé cliché déjà doppelgänger über smörgåsbord entrée soufflé touché
Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May June July
August September October November December Easter Christmas Europe Asia Africa America Germany
""")

DETERMINERS: dict[str, float] = {
    "the": 60, "a": 20, "this": 7, "that": 4, "your": 6, "each": 3, "any": 2, "our": 3, "its": 2,
    "some": 2, "my": 3, "every": 2, "one": 3, "their": 2, "another": 1, "no": 1,
}  # fmt: skip
PREPOSITIONS: dict[str, float] = {
    "of": 28, "in": 19, "to": 12, "for": 10, "with": 8, "on": 8, "from": 5, "by": 5, "at": 4,
    "into": 2, "as": 3, "through": 1, "between": 1, "after": 1.5, "before": 1.5, "without": 1.5,
    "under": 0.7, "over": 0.9, "about": 1.2, "against": 0.5, "during": 0.6, "across": 0.5,
    "inside": 0.5, "behind": 0.3, "within": 0.4, "per": 0.3, "until": 0.3, "since": 0.3,
}  # fmt: skip
CONJUNCTIONS: dict[str, float] = {
    "and": 42, "but": 9, "so": 8, "because": 6, "when": 7, "if": 10, "or": 6, "while": 3,
    "which": 6, "where": 2, "unless": 1, "although": 1, "since": 2, "once": 1, "until": 1,
}  # fmt: skip
PRONOUNS: dict[str, float] = {
    "you": 34,
    "it": 26,
    "we": 13,
    "i": 15,
    "they": 7,
    "he": 2,
    "she": 2,
    "one": 1,
}
MODALS: dict[str, float] = {
    "can": 26, "will": 17, "should": 14, "would": 10, "could": 8, "may": 6, "must": 6,
    "might": 5, "don't": 4, "can't": 2, "won't": 2, "needn't": 0.3, "doesn't": 0.5,
}  # fmt: skip

# Patterns: @d determiner, @p preposition, @c conjunction, @u pronoun, @m modal; @N @P noun, nouns;
# @V @S @D @G verb, its s-, past and ing-forms; @A adjective, @R adverb; @T a word of the session,
# @Z name, @n number, @i identifier, @f path, @h hash, @k date.
CLAUSES = """
@d @N @S @d @A @N
@d @N @p @d @N @S @d @N
@d @T @S @d @N @p @d @A @N
@u @m @V @d @N @p @d @T
@u @m @R @V @d @A @N
@u @D @d @N @p @d @N
there is a @A @N @p @d @T
there are @n @P @p @d @N
it is @A to @V @d @N
it is not @A that @d @N @D
the @A @N is the @T of the @N
this is the @N that @S the @P
@d @N is @A and the @T is @A
@P are @R @D by @d @N
all @P of @d @T are @A
@d @P @m be @D @p @d @N
@d @A @P @m not @V @d @T
to @V the @N you have to @V the @T
@u have to @V @d @N @p @G @d @P
@G the @N @S the @P
what @u @m @V is @d @N of the @T
the @N has been @D @p the @A @P
most of the @P @V the same @N
you can @V the @T with `@i`
the @N in `@f` @S the @T
`@i` @S a @N and a @T
@Z @D the @T on @k
@Z and @Z @m @V the @N @p @d @T
it was @D at @n @p the @N
the @T has @n @P and the @N has @n
it @D from @n to @n @P
the @N of @d @A @N is that it @S @P
both the @N and the @T are @A
@d @N that @u @D is @R @A
in the @A @N the @P were @D
for each @N there is a @T
with the @A @N @u @m @V @A @P
the @T was more @A than the @N
it does not @V any @P of the @N
if the @N is @A then @u @m @V it
when @d @T @S the @N is @D
@u @V the @N as a @A @T
@d @N @p @G @P @p @d @N is @A
the only @N is the @A @T
@P and @P of the @T
the first @N @S @d @T and the second @S @d @N
as @u @D the @N is not the @A one
@d @T @m be @A if the @P are @D
some @P are @A but others @V the @N
its @N is @A to the @N of the @T
what matters is the @N @p the @T
@u @m @V that @d @N is @A
from the @N of @d @T to the @N of the @P
""".strip().splitlines()

QUESTIONS = """
how do i @V the @T
why does the @N @V the @T
what is the @A way to @V @d @T
can you @V @d @N @p the @T
should i @V the @N or the @T first
which @N @m @V @d @A @T
where did we @V the @N of the @T
is there a @A @N for @G @P
what was the @N of the @T on @k
does `@i` @V the @T
what happens when the @N is @A
could you explain the @T and the @N
how many @P does the @T have
who @D the @N of the @T
when do we @V the @T @N
what is the difference between the @N and the @T
why is the @T @A
how does the @N @V when the @P are @A
""".strip().splitlines()

REQUESTS = """
please @V the @T
please @V the @N and @V the @P
now @V it with the @A @N
the @T still @S the @N
i tried `@i` but the @N is @A
i want to @V the @T @p the @N
we need a @A @N for the @T
it @D again
ok, that worked, now the @T
thanks, and the @N?
no, the other @N
let's @V the @T instead
here is the @N from `@f`
remember that @Z @S @A @P
the @N should be @A and not @A
@Z wants the @T by @k
shorter please
give me @n @P of @d @T
make the @N more @A
""".strip().splitlines()

CODE = (
    """```python
def @i(@N: str, @T: int = @n) -> list[str]:
    \"\"\"@V the @N of the @T.\"\"\"
    @P = []
    for @N in @i(@T):
        if not @N.@V():
            raise ValueError(f"@A @N: {@N!r}")
        @P.append(@i(@N, limit=@n))
    return @P
```""",
    """```bash
cd @f
git log --oneline -n @n @h..@h
grep -rn "@T" --include='*.py' . | head -@n
```""",
    """```json
{
  "@N": "@T",
  "@i": @n,
  "@P": ["@N", "@N", "@h"],
  "@A": true
}
```""",
    """```sql
SELECT @N, count(*) AS @P
FROM @P
JOIN @T ON @T.id = @P.@N_id
WHERE created_at >= '@k' AND @N > @n
GROUP BY @N
ORDER BY @P DESC;
```""",
    """```yaml
@N:
  @T: @n
  @i: @A
  @P:
    - name: @N
      path: @f
    - name: @N
      path: @f
```""",
    """```
Traceback (most recent call last):
  File "@f", line @n, in @i
    @i(@N, @T=@n)
  File "@f", line @n, in @i
    raise RuntimeError("@A @N @h")
RuntimeError: @A @N @h
```""",
    """```diff
--- a/@f
+++ b/@f
@@ -@n,7 +@n,9 @@
-    @N = @i(@T)
+    @N = @i(@T, @A=@n)
+    @P.@V(@N)
```""",
    """```rust
pub fn @i(@N: &str) -> Result<@T, Error> {
    let mut @P = Vec::with_capacity(@n);
    for @N in @P.iter() {
        @P.push(@i(@N)?);
    }
    Ok(@T { @N, @P })
}
```""",
    """| @N | @P | @T |
|---|---|---|
| @A | @n | @k |
| @A | @n | @k |
| @A | @n | @h |""",
)


SIMPLE = split("b c d f g h j k l m n p r s t v w m n r s t l d")
CLUSTERS = split("br bl ch cl cr dr fl fr gl gr pl pr qu sc sh sl sp st str th tr")
VOWELS = split("a e i o u a e i o a e i o ai ea ou")
CODAS = [*[""] * 20, *split("n r l s t m d n r l ck nd nt st rt ng x")]


def invent_words(
    rng: random.Random, count: int, endings: Sequence[str], used: set[str]
) -> list[str]:
    """English-like words that are in nobody's dictionary."""
    words: list[str] = []
    while len(words) < count:
        parts: list[str] = []
        for _ in range(rng.choices((1, 2, 3), (2, 6, 3))[0]):
            onsets = SIMPLE if rng.random() < 0.8 else CLUSTERS
            parts += rng.choice(onsets), rng.choice(VOWELS), rng.choice(CODAS)
        word = "".join(parts) + rng.choice(endings)
        if 4 <= len(word) <= 12 and word not in used:
            used.add(word)
            words.append(word)
    return words


PASTS = dict(
    pair.split("=")
    for pair in split("""
        make=made get=got go=went run=ran take=took see=saw know=knew find=found give=gave set=set
        write=wrote read=read keep=kept show=showed think=thought put=put build=built hold=held
        send=sent tell=told lead=led begin=began forget=forgot choose=chose cut=cut eat=ate
        catch=caught throw=threw drink=drank sleep=slept drive=drove ride=rode fly=flew leave=left
        meet=met speak=spoke sing=sang draw=drew teach=taught spell=spelt pay=paid buy=bought
        sell=sold fall=fell sit=sat stand=stood lie=lay wear=wore grow=grew feed=fed lend=lent
        spend=spent win=won lose=lost fight=fought hide=hid mean=meant become=became say=said
    """)
)


def inflect(verb: str) -> tuple[str, str, str]:
    """The forms in -s, -ed and -ing."""
    if verb.endswith("e"):
        return verb + "s", PASTS.get(verb, verb + "d"), verb[:-1] + "ing"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies", verb[:-1] + "ied", verb + "ing"
    ending = "es" if verb.endswith(("s", "x", "sh", "ch", "go", "do")) else "s"
    return verb + ending, PASTS.get(verb, verb + "ed"), verb + "ing"


def plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "sh", "ch")) else "s")


def zipf_weights(count: int, knee: int) -> list[float]:
    """Slope 1 down to the knee, 1.9 behind it: what is seen in large corpora."""
    return [1 / (r + 3) * (max(1.0, r / knee) ** -0.9) for r in range(1, count + 1)]


@dataclass
class Vocabulary:
    """The word forms of each class, and for each form the word it belongs to."""

    nouns: list[str]
    forms: dict[str, tuple[list[str], list[float]]]
    lemma: dict[str, str]

    @classmethod
    def make(cls, rng: random.Random) -> Vocabulary:
        used = {*NOUNS, *VERBS, *ADJECTIVES, *ADVERBS}
        noun_ends = ("", "", "", "er", "tion", "ment", "ity", "or", "um", "age", "ance", "ist")
        nouns = [*dict.fromkeys(NOUNS), *invent_words(rng, 24_000, noun_ends, used)]
        verbs = [
            *dict.fromkeys(VERBS),
            *invent_words(rng, 2_600, ("", "", "ate", "ify", "ise"), used),
        ]
        ends = ("al", "ous", "ive", "able", "ic", "ful", "less", "ish", "y", "ent")
        adjectives = [*dict.fromkeys(ADJECTIVES), *invent_words(rng, 3_600, ends, used)]
        adverbs = [*dict.fromkeys(ADVERBS), *(a + "ly" for a in adjectives if a[-1] not in "ye")]
        table = {
            "N": (nouns, 4_000),
            "P": ([plural(n) for n in nouns], 4_000),
            "V": (verbs, 800),
            "S": ([inflect(v)[0] for v in verbs], 800),
            "D": ([inflect(v)[1] for v in verbs], 800),
            "G": ([inflect(v)[2] for v in verbs], 800),
            "A": (adjectives, 800),
            "R": (adverbs, 400),
        }
        forms = {
            key: (words, zipf_weights(len(words), knee)) for key, (words, knee) in table.items()
        }
        lemma: dict[str, str] = {}
        for keys, base in (("NP", nouns), ("VSDG", verbs), ("A", adjectives)):
            for key in keys:
                for form, word in zip(table[key][0], base, strict=True):
                    lemma.setdefault(form, word)
        for word in adverbs:
            lemma.setdefault(word, word.removesuffix("ly"))
        return cls(nouns, forms, lemma)


def endless(rng: random.Random, items: Sequence[Any], weights: Sequence[float]) -> Iterator[Any]:
    """Weighted draws without end, made in batches."""
    steps = list(itertools.accumulate(weights))
    batches = (rng.choices(items, cum_weights=steps, k=4096) for _ in itertools.count())
    return itertools.chain.from_iterable(batches)


def with_articles(text: str) -> str:
    return re.sub(r" a (?=[aeiou])", " an ", text).replace(" i ", " I ")


# ---------------------------------------------------------------- what a session is about


@dataclass
class Project:
    """Where sessions are held, with the words and files that come up there."""

    directory: str
    git_root: str | None
    words: list[str]
    identifiers: list[str]
    paths: list[str]


@dataclass
class Subject:
    """The words of one session; they come round again and again, the first most often."""

    words: Iterator[str] = field(default_factory=lambda: itertools.repeat(""))
    identifiers: Iterator[str] = field(default_factory=lambda: itertools.repeat(""))
    paths: Iterator[str] = field(default_factory=lambda: itertools.repeat(""))


@dataclass
class Pattern:
    text: str
    draws: list[Draw]

    def fill(self) -> str:
        return self.text % tuple([draw() for draw in self.draws])


class Writer:
    """Makes sentences, paragraphs, lists and code about the current subject."""

    def __init__(self, rng: random.Random, vocabulary: Vocabulary) -> None:
        self.rng = rng
        self.subject = Subject()
        self.vocabulary = vocabulary
        self._draws: dict[str, Draw] = {
            key: endless(rng, *forms).__next__ for key, forms in vocabulary.forms.items()
        }
        small = (DETERMINERS, PREPOSITIONS, CONJUNCTIONS, PRONOUNS, MODALS)
        for key, words in zip("dpcum", small, strict=True):
            self._draws[key] = endless(rng, list(words), list(words.values())).__next__
        self._draws["Z"] = endless(rng, NAMES, zipf_weights(len(NAMES), 999)).__next__
        self._draws["T"] = lambda: next(self.subject.words)
        self._draws["i"] = lambda: next(self.subject.identifiers)
        self._draws["f"] = lambda: next(self.subject.paths)
        self._draws["n"] = self.number
        self._draws["h"] = lambda: f"{rng.getrandbits(28):07x}"
        self._draws["k"] = self.date
        self._clauses = self._endless_patterns(CLAUSES)
        self._questions = self._endless_patterns(QUESTIONS)
        self._requests = self._endless_patterns(REQUESTS)
        self._code = self._endless_patterns(CODE)

    def _endless_patterns(self, texts: Sequence[str]) -> Iterator[Pattern]:
        return endless(self.rng, [self.pattern(text) for text in texts], [1.0] * len(texts))

    def pattern(self, text: str) -> Pattern:
        keys = re.findall(r"@([a-zA-Z])", text)
        safe = re.sub(r"@[a-zA-Z]", "%s", text.replace("%", "%%"))
        return Pattern(safe, [self._draws[key] for key in keys])

    def noun(self) -> str:
        return self._draws["N"]()

    def number(self) -> str:
        rng = self.rng
        kind = rng.random()
        if kind < 0.6:
            return str(int(10 ** (rng.random() * 2.3)))
        if kind < 0.85:
            return str(int(10 ** (rng.random() * 5)))
        if kind < 0.95:
            return f"{rng.randrange(5)}.{rng.randrange(30)}.{rng.randrange(12)}"
        return f"{rng.random() * 100:.2f}"

    def date(self) -> str:
        return time.strftime("%Y-%m-%d", time.gmtime(FIRST_DAY + self.rng.randrange(DAYS) * 86_400))

    def identifier(self) -> str:
        a, b = self._draws["V"](), self._draws["N"]()
        kind = self.rng.random()
        if kind < 0.6:
            return f"{a}_{b}"
        if kind < 0.8:
            return f"{a}{b.capitalize()}"
        return f"{b.capitalize()}{self.noun().capitalize()}"

    def path(self) -> str:
        ending = self.rng.choice(("py", "py", "rs", "md", "ts", "sql", "yaml", "toml", "go", "txt"))
        parts = [self.noun() for _ in range(self.rng.randint(1, 3))]
        return "/".join(("src", *parts)) + "." + ending

    def sentence(self) -> str:
        rng = self.rng
        text = next(self._clauses).fill()
        luck = rng.random()
        if luck < 0.45:
            comma = "" if luck < 0.2 else ","
            text = f"{text}{comma} {self._draws['c']()} {next(self._clauses).fill()}"
        elif luck < 0.55:
            text = f"{self._draws['R']()}, {text}"
        elif luck < 0.6:
            text = f"{text}: {next(self._clauses).fill()}"
        return text[0].upper() + text[1:] + "."

    def paragraph(self) -> str:
        return " ".join([self.sentence() for _ in range(self.rng.randint(1, 5))])

    def bullets(self) -> str:
        rng = self.rng
        clauses, topic = self._clauses, self._draws["T"]
        count = rng.randint(3, 7)
        style = rng.random()
        if style < 0.4:
            lines = [f"- **{topic()}**: {next(clauses).fill()}" for _ in range(count)]
        elif style < 0.7:
            lines = [f"- {next(clauses).fill()}" for _ in range(count)]
        else:
            lines = [f"{i}. {self.sentence()}" for i in range(1, count + 1)]
        return "\n".join(lines)

    def heading(self) -> str:
        return f"## {self._draws['A']().capitalize()} {self._draws['T']()} {self._draws['N']()}"

    def block(self) -> str:
        luck = self.rng.random()
        if luck < 0.66:
            return self.paragraph()
        if luck < 0.84:
            return self.bullets()
        return next(self._code).fill() if luck < 0.94 else self.heading()

    def answer(self) -> str:
        wanted = self.rng.lognormvariate(6.30, 0.80)
        blocks = [self.sentence()]
        length = len(blocks[0])
        while length < wanted:
            blocks.append(self.block())
            length += len(blocks[-1]) + 2
        return "\n\n".join(blocks)

    def ask(self) -> str:
        rng = self.rng
        luck = rng.random()
        if luck < 0.45:
            text = next(self._questions).fill() + "?"
        elif luck < 0.9:
            text = next(self._requests).fill()
        else:
            text = self.paragraph()
        if rng.random() < 0.35:
            text += (" " if text[-1] in ".?" else ". ") + self.sentence()
        if rng.random() < 0.06:
            text += "\n\n" + next(self._code).fill()
        return text if rng.random() < 0.3 else text[0].upper() + text[1:]

    def topic(self) -> str:
        shapes = ("@V the @T @N", "@T @N and @P", "@A @T for @P", "@T @p the @N", "@Z and the @T")
        text = self.pattern(self.rng.choice(shapes)).fill()
        return text[0].upper() + text[1:]


# ---------------------------------------------------------------- Japanese, Chinese, Korean

KANJI = (
    "日本人国会年大出中上生同事行社見月分議後前民学東者間部度立開手力問代明動京目通言理体田主題意不作用"
    "定気近場保第一法来性報発員取話時書電車道路計画設定変更確認検索保存記憶資料時間予定会議質問回答説明"
    "結果問題解決方法対応期限担当部品料理旅行天気写真音楽映画健康運動勉強試験言語文章翻訳編集公開削除追加"
)
HANZI = (
    "我们的是在不有人这上大来到时说要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方"
    "多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心本前开但因只从想实日军者意无力它与长把机"
    "数据文件系统问题解决方案测试代码搜索索引会话消息时间计划项目模型配置更新删除保存内容语言翻译服务网络缓存"
)
HANGUL = (
    "가나다라마바사아자차카타파하고노도로모보소오조구누두루무부수우주기니디리미비시이지강남동산성신영원장정"
    "한국인회의시간계획질문답변문제해결방법설명결과파일저장검색기억자료음식여행날씨사진음악영화건강운동공부"
)


EAST_MARKS = {
    "ja": (split("の を に が は で と 、 から について も する"), "します。"),
    "zh": (["", "", "", *split("的 了 和 在 \uff0c 是 把 、")], "。"),
    "ko": ([mark + " " for mark in ["", *split("은 는 이 가 을 를 에서 으로 와 의")]], "합니다."),
}


class EastWriter:
    """Japanese, Chinese and Korean text; words come from a pool with a Zipf law."""

    def __init__(self, rng: random.Random, latin: Writer) -> None:
        self.rng = rng
        self.latin = latin
        self.pools: dict[str, Iterator[str]] = {}
        for language, letters in (("ja", KANJI), ("zh", HANZI), ("ko", HANGUL)):
            words: dict[str, None] = {}
            while len(words) < 5_000:
                words["".join(rng.choices(letters, k=rng.choice((1, 2, 2, 2, 3, 4))))] = None
            self.pools[language] = endless(rng, list(words), zipf_weights(len(words), 1_000))

    def sentence(self, language: str) -> str:
        rng = self.rng
        pool = self.pools[language]
        words = [next(pool) for _ in range(rng.randint(3, 11))]
        if rng.random() < 0.15:
            words[rng.randrange(len(words))] = self.latin.noun()
        marks, ending = EAST_MARKS[language]
        return "".join([w + rng.choice(marks) for w in words[:-1]]) + words[-1] + ending

    def text(self, language: str, length: float) -> str:
        parts = [self.sentence(language)]
        size = len(parts[0])
        while size < length:
            luck = self.rng.random()
            mark = (
                "\n\n" if luck < 0.15 else "\n- " if luck < 0.3 else " " if language == "ko" else ""
            )
            parts.append(mark + self.sentence(language))
            size += len(parts[-1])
        return "".join(parts)


# ---------------------------------------------------------------- sessions


def message_counts(rng: random.Random, sessions: int) -> list[int]:
    """Half of the sessions short, a few of hundreds, a handful of thousands; 31.5 on average."""
    counts: list[int] = []
    huge = round(sessions * 0.0003)
    for i in range(sessions):
        share = (i + 0.5) / sessions
        if i < huge:
            low, high = 2_000, 3_600
        elif share < 0.02:
            low, high = 200, 800
        elif share < 0.12:
            low, high = 60, 200
        elif share < 0.5:
            low, high = 10, 60
        else:
            low, high = 4, 10
        counts.append(int(low * (high / low) ** rng.random()))
    middle = [i for i, n in enumerate(counts) if 20 <= n < 800]
    surplus = sum(counts) - MESSAGES_PER_SESSION * sessions
    size = sum(counts[i] for i in middle)
    if size:
        for i in middle:
            counts[i] = max(10, round(counts[i] * (1 - surplus / size)))
    rng.shuffle(counts)
    # A long session goes on for weeks; none shall reach into the future.
    recent = sessions - sessions // 15
    for i in range(recent, sessions):
        if counts[i] > 60:
            j = rng.randrange(recent)
            while counts[j] > 60:
                j = rng.randrange(recent)
            counts[i], counts[j] = counts[j], counts[i]
    return counts


def start_times(rng: random.Random, sessions: int) -> list[int]:
    """Milliseconds; by day, fewer at weekends and at night, more of them in later years."""
    days = list(range(DAYS))
    busy = [
        (0.7 + d / DAYS * 0.6) * (0.45 if d % 7 > 4 else 1.0) * rng.uniform(0.4, 1.6) for d in days
    ]
    hours = [1, 0.3, 0.1, 0.1, 0.1, 0.4, 2, 5, 9, 11, 11, 9, 6, 8, 10, 10, 9, 7, 5, 5, 7, 8, 6, 3]
    starts = []
    for day, hour in zip(
        rng.choices(days, busy, k=sessions), rng.choices(range(24), hours, k=sessions), strict=True
    ):
        starts.append((FIRST_DAY + day * 86_400 + hour * 3_600) * 1000 + rng.randrange(3_600_000))
    return sorted(starts)


def stamp(ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03d}Z"


def uuid7(rng: random.Random, ms: int) -> str:
    low = rng.getrandbits(74)
    text = f"{ms:012x}7{low >> 62:03x}{(low & ((1 << 62) - 1)) | (1 << 63):016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@dataclass
class Told:
    """What was written of a session, as far as others need it."""

    id: str
    started: int
    ended: int
    messages: int
    topic: str
    model: str
    ended_at: str | None
    last_user_id: str


class VaultMaker:
    def __init__(self, root: Path, sessions: int, seed: int, *, count_words: bool) -> None:
        self.rng = random.Random(seed)
        self.root = root
        self.sessions = sessions
        self.folder = root / "atlas" / "memory" / "sessions"
        self.vocabulary = Vocabulary.make(self.rng)
        self.writer = Writer(self.rng, self.vocabulary)
        self.east = EastWriter(self.rng, self.writer)
        self.projects = [self._project(i) for i in range(max(4, min(400, sessions // 10)))]
        self.project_weights = zipf_weights(len(self.projects), 100)
        self.topic_limits = math.log(60), math.log(len(self.vocabulary.nouns))
        self.used_names: set[str] = set()
        self.messages = self.bytes = 0
        self.words = WordCount(self.vocabulary, seed) if count_words else None

    def make(self) -> None:
        for folder in (
            self.folder,
            self.root / "atlas/memory/long-term",
            self.root / "atlas/identity",
        ):
            make_folder(folder)
        make_folder(self.root / ".vault-sessions")
        starts = start_times(self.rng, self.sessions)
        counts = message_counts(self.rng, self.sessions)
        told = [self._session(at, n) for at, n in zip(starts, counts, strict=True)]
        self._memory(told)

    def _project(self, index: int) -> Project:
        name = f"{self.writer.noun()}-{self.writer.noun()}"
        directory = f"/home/mara/{self.rng.choice(('code', 'work', 'notes'))}/{name}"
        words = [self.writer.noun() for _ in range(8)]
        words += [self.rng.choice(self.vocabulary.nouns) for _ in range(12)]
        return Project(
            directory,
            directory if index % 2 == 0 else None,
            words,
            [self.writer.identifier() for _ in range(40)],
            [self.writer.path() for _ in range(25)],
        )

    def _subject(self, project: Project, messages: int) -> Subject:
        """Words of the project and of the session alone: the longer it is, the more of them."""
        rng = self.rng
        low, high = self.topic_limits
        nouns = self.vocabulary.nouns
        words = rng.sample(project.words, 5)
        for _ in range(4 + int(2 * math.sqrt(messages))):
            words.append(nouns[int(math.exp(rng.uniform(low, high))) - 1])
        rng.shuffle(words)
        names = rng.sample(project.identifiers, 4)
        names += [self.writer.identifier() for _ in range(2 + int(math.sqrt(messages)))]
        paths = rng.sample(project.paths, 3)
        paths += [self.writer.path() for _ in range(1 + int(math.sqrt(messages) / 2))]
        return Subject(*(self._round(items) for items in (words, names, paths)))

    def _round(self, items: list[str]) -> Iterator[str]:
        weights = [1 / (r + 2) for r in range(len(items))]
        return itertools.cycle(self.rng.choices(items, weights, k=8 * len(items)))

    def _session(self, started: int, count: int) -> Told:
        rng = self.rng
        project = rng.choices(self.projects, self.project_weights)[0]
        self.writer.subject = self._subject(project, count)
        tail = "".join(rng.choices(ID_LETTERS, k=6))
        session = time.strftime("%Y%m%d-%H%M%S-", time.gmtime(started // 1000)) + tail
        provider, model, _ = rng.choices(MODELS, [m[2] for m in MODELS])[0]
        language = rng.choice(("ja", "ja", "zh", "zh", "ko")) if rng.random() < 0.015 else None
        lines, ended, user_id = self._transcript(started, count, provider, model, language)
        data = b"\n".join(lines) + b"\n"
        write_file(self.folder / f"{session}.jsonl", data)
        topic = self.east.sentence(language) if language else self.writer.topic()
        meta = self._meta(session, started, ended, provider, model, project, topic, user_id)
        write_file(
            self.folder / f"{session}.meta.json",
            orjson.dumps(meta, option=orjson.OPT_INDENT_2) + b"\n",
        )
        self.messages += count
        self.bytes += len(data)
        return Told(session, started, ended, count, topic, model, meta.get("ended_at"), user_id)

    def _roles(self, count: int) -> list[str]:
        """user, assistant; sometimes a system message first, sometimes a tool call between."""
        rng = self.rng
        roles = ["system"] if rng.random() < 0.03 else []
        while len(roles) < count:
            roles.append("user")
            if count - len(roles) >= 3 and rng.random() < 0.015:
                roles += "call", "tool"
            if len(roles) < count:
                roles.append("assistant")
        return roles

    def _transcript(
        self, started: int, count: int, provider: str, model: str, language: str | None
    ) -> tuple[list[bytes], int, str]:
        rng = self.rng
        at, lines, prompt_tokens, user_id, call = started, [], 60, "", ""
        run, until_break = uuid7(rng, started - 300), rng.randint(30, 90)
        for number, kind in enumerate(self._roles(count)):
            if number:
                at += int(5000 * 18 ** rng.random())
            until_break -= 1
            if until_break < 0 and kind == "user":
                at += int(3_600_000 * rng.lognormvariate(2.2, 1.0))
                run, until_break = uuid7(rng, at - 300), rng.randint(30, 90)
            text = self._content(kind, language)
            extra: dict[str, Any] = {}
            role = "assistant" if kind == "call" else kind
            if kind == "call":
                call = f"call_{rng.getrandbits(96):024x}"
                arguments = orjson.dumps({"query": text}).decode()
                function = {"name": "memory_search", "arguments": arguments}
                extra["tool_calls"] = [{"id": call, "type": "function", "function": function}]
                text = ""
            elif kind == "tool":
                extra |= {"tool_call_id": call, "name": "memory_search"}
            elif kind == "assistant" and rng.random() < 0.004:
                extra["status"] = rng.choice(("cancelled", "cancelled", "error"))
            message: dict[str, Any] = {
                "role": role,
                "content": text,
                "id": uuid7(rng, at),
                "created_at": stamp(at),
                "invocation_id": run,
            }
            tokens = len(text) // 4 + 3
            if role == "assistant":
                message["model"], message["provider"] = model, provider
                message["usage"] = {
                    "prompt_tokens": prompt_tokens,
                    "completion_tokens": tokens,
                    "total_tokens": prompt_tokens + tokens,
                }
            elif role == "user":
                user_id = message["id"]
            prompt_tokens = min(prompt_tokens + tokens, 24_000 + prompt_tokens % 4_000)
            lines.append(orjson.dumps(message | extra))
            if self.words:
                self.words.add(text, latin=language is None)
        return lines, at, user_id

    def _content(self, role: str, language: str | None) -> str:
        if role == "call":
            return f"{self.writer.noun()} {next(self.writer.subject.words)}"
        if language:
            middle = {"user": 2.9, "system": 4.0}.get(role, 5.2)
            return self.east.text(language, self.rng.lognormvariate(middle, 0.8))
        makers = {
            "user": self.writer.ask,
            "tool": self.writer.bullets,
            "system": self.writer.paragraph,
        }
        return with_articles(makers.get(role, self.writer.answer)())

    def _meta(
        self,
        session: str,
        started: int,
        ended: int,
        provider: str,
        model: str,
        project: Project,
        topic: str,
        user_id: str,
    ) -> dict[str, Any]:
        rng = self.rng
        meta: dict[str, Any] = {"version": 1, "id": session, "name": None}
        if rng.random() < 1 / 3:
            meta["name"] = self._name()
        if rng.random() < 0.93:
            meta["topic"] = topic
            meta["topic_source"] = rng.choices(("generated", "fallback", "user"), (7, 2, 1))[0]
        meta["created_at"] = stamp(started)
        if rng.random() < 0.9:
            reason = rng.choices(("new", "idle", "daily", "window", "command"), (3, 2, 1, 3, 1))[0]
            later = {"new": 400_000, "idle": 7_200_000, "window": 14_400_000}.get(reason, 30_000)
            meta["ended_at"] = stamp(ended + later)
            meta["end_reason"] = reason
            meta["duration_seconds"] = (ended - started) // 1000
            meta["learned_through"] = user_id
        meta["provider"], meta["model"] = provider, model
        if rng.random() < 0.1:
            meta["skill"] = rng.choice(SKILLS)
        meta["directory"] = project.directory
        if project.git_root:
            meta["git_root"] = project.git_root
            if rng.random() < 0.3:
                meta["directory"] = f"{project.git_root}/src/{self.writer.noun()}"
        return meta

    def _name(self) -> str:
        name = f"{self.writer.noun()}-{self.writer.noun()}"
        for number in itertools.count(2):
            if name not in self.used_names:
                break
            name = f"{name.rstrip('0123456789-')}-{number}"
        self.used_names.add(name)
        return name

    def _memory(self, told: list[Told]) -> None:
        """Identity, facts, the newest sessions' summaries, and the vault's settings."""
        rng, writer = self.rng, self.writer
        memory, identity = self.root / "atlas/memory/long-term", self.root / "atlas/identity"
        facts = []
        for section in ("Facts", "Goals", "Preferences", "Relationships", "Projects"):
            facts.append(f"## {section}\n")
            for _ in range(rng.randint(8, 60)):
                source = rng.choice(told)
                day = stamp(source.ended)[:10]
                where = f"<!-- {day} {source.id}#{source.last_user_id} -->"
                facts.append(
                    f"- {writer.sentence()} {where if rng.random() < 0.8 else ''}".rstrip()
                )
            facts.append("")
        write_file(memory / "facts.md", "\n".join(facts).encode())
        persona = f"# Persona\n\n{writer.paragraph()}\n\n{writer.paragraph()}\n"
        write_file(identity / "persona.md", persona.encode())
        likes = "\n".join(f"- {writer.sentence()}" for _ in range(9))
        snapshot = " ".join(writer.sentence() for _ in range(4))
        user = f"# User\n\n## Preferences\n{likes}\n\n## Snapshot\n{snapshot}\n"
        write_file(identity / "user.md", user.encode())
        for source in [t for t in told if t.ended_at][-max(3, self.sessions // 50) :]:
            self._summary(memory, source)
        write_file(
            self.root / ".vault-sessions/config.yaml", b"ai:\n  sessions:\n    resume_window: 4h\n"
        )
        write_file(self.root / ".vault-sessions/.gitignore", b"trash/\n")

    def _summary(self, folder: Path, source: Told) -> None:
        body = f"# {source.topic}\n\n## Summary\n{self.writer.paragraph()}\n"
        for title in ("Decisions", "Open items", "Learned"):
            if self.rng.random() < 0.6:
                items = "\n".join(
                    f"- {self.writer.sentence()}" for _ in range(self.rng.randint(1, 4))
                )
                body += f"\n## {title}\n{items}\n"
        front = {
            "session_id": source.id,
            "topic": source.topic,
            "started_at": stamp(source.started),
            "ended_at": source.ended_at,
            "message_count": source.messages,
            "model": source.model,
            "method": "ai",
            "generated_hash": hashlib.sha256(body.strip().encode()).hexdigest(),
        }
        # A JSON value is a YAML value too.
        head = "\n".join(f"{key}: {orjson.dumps(value).decode()}" for key, value in front.items())
        slug = re.sub(r"[\W_]+", "-", source.topic.lower()).strip("-")[:50].rstrip("-")
        stem = f"session-{stamp(source.started)[:10]}-{slug or source.id[-6:]}"
        path = folder / f"{stem}.md"
        for number in itertools.count(2):
            if not path.exists():
                break
            path = folder / f"{stem}-{number}.md"
        write_file(path, f"---\n{head}\n---\n{body}".encode())


def make_folder(path: Path) -> None:
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            folder.mkdir(0o700)


def write_file(path: Path, data: bytes) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(number, view) :]
    finally:
        os.close(number)


# ---------------------------------------------------------------- queries


class WordCount:
    """In how many messages each word stands, all its forms together, as a stemmer sees it."""

    def __init__(self, vocabulary: Vocabulary, seed: int) -> None:
        self.rng = random.Random(f"queries {seed}")
        self.lemma = vocabulary.lemma
        self.frequency: Counter[str] = Counter()
        self.messages = 0
        self.samples: list[list[str]] = []
        self._split = re.compile(r"[^\W_]+").findall

    def add(self, text: str, *, latin: bool) -> None:
        self.messages += 1
        lemma = self.lemma
        words = {lemma.get(word, word) for word in self._split(text.lower())}
        self.frequency.update(words)
        if latin and len(words) > 30 and self.rng.random() < 0.002:
            self.samples.append(sorted(word for word in words if word in lemma and len(word) > 2))

    def queries(self) -> dict[str, list[str]]:
        rng, frequency = self.rng, self.frequency
        ordered = sorted(frequency.items(), key=lambda item: (item[1], item[0]))
        counts = [count for _, count in ordered]

        def some(low: float, high: float, most: int) -> list[str]:
            part = ordered[bisect.bisect_left(counts, low) : bisect.bisect_right(counts, high)]
            words = [
                word for word, _ in part if word.isascii() and word.isalpha() and len(word) > 1
            ]
            return sorted(rng.sample(words, min(most, len(words))))

        seldom = some(1, 20, 10**9)
        rare = [word for word in seldom if word in self.lemma]
        names = [word for word in seldom if word not in self.lemma and len(word) > 9]
        rare = rng.sample(rare, min(60, len(rare))) + rng.sample(names, min(40, len(names)))
        return {
            "rare": sorted(rare),
            "middling": some(200, 2_000, 100),
            "common": some(self.messages * 0.1 + 1, math.inf, 50),
            "two_words": [" ".join(rng.sample(self._sample(), 2)) for _ in range(100)],
            "questions": [self._question() for _ in range(50)],
        }

    def _sample(self) -> list[str]:
        """Words of one message, neither the commonest nor function words."""
        while True:
            limit = max(3.0, self.messages * 0.05)
            words = [w for w in self.rng.choice(self.samples) if self.frequency[w] < limit]
            if len(words) >= 4:
                return words

    def _question(self) -> str:
        a, b, c = self.rng.sample(self._sample(), 3)
        shapes = (
            f"how do i {a} the {b}",
            f"what did we decide about {a} {b}",
            f"why is the {a} {b}",
            f"where is the {a} of the {b}",
            f"which {a} was {b} by {c}",
            f"when did the {a} {b} the {c}",
            f"what is the {a} for {b} and {c}",
            f"notes on {a} and {b}",
        )
        return self.rng.choice(shapes)


def main() -> int:
    parser = argparse.ArgumentParser(description="Write a large, realistic vault for benchmarks.")
    parser.add_argument("dir", type=Path, help="the new vault; must be missing or empty")
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--queries", type=Path, help="also write query words to this JSON file")
    options = parser.parse_args()
    if options.dir.exists() and any(options.dir.iterdir()):
        parser.error(f"{options.dir} is not empty")
    if options.sessions < 1:
        parser.error("--sessions must be at least 1")
    began = time.perf_counter()
    root: Path = options.dir.absolute()
    maker = VaultMaker(
        root, options.sessions, options.seed, count_words=options.queries is not None
    )
    maker.make()
    if maker.words:
        queries = orjson.dumps(maker.words.queries(), option=orjson.OPT_INDENT_2)
        options.queries.write_bytes(queries + b"\n")
    print(
        f"{options.sessions:,} sessions, {maker.messages:,} messages, "
        f"{maker.bytes / 1e6:.1f} MB of transcripts in {time.perf_counter() - began:.1f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
