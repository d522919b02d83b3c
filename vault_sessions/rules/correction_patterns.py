"""The patterns of a correction, as in ``rules.corrections``.

English, any case. They err on the side of silence: what is taken for a correction is asked about,
and a question that was none is a nuisance.
"""

from __future__ import annotations

import functools
import re

LONGEST = 200

TRIGGER = re.compile(
    (
        r"\b(?:actually|as of|from|call|wait|no|nope|sorry|meant|mention|correction|record"
        r"|longer|any ?more|used to|moved"
        r"|left|quit|started|changed|switched|got|renamed|not|n't|forget|memory|notes|now"
        r"|days|nowadays"
        r"|stopped|sold|gave|wrong|heads|broke|became|retired|turned|again|since|my|just so"
        r"|say|bought"
        r"|adopted|lost|had a|born|died|passed|new|haven't|update|fwiw|worth|true|right"
        r"|correct|incorrect"
        r"|mix\w*|misremember\w*|mistaken?|thing|starting|next|haven't|havent|divorced|never"
        r"|isn't|aren't|don't|dont|doesn't|can't|engaged|married|promoted)\b"
    ),
    re.IGNORECASE,
)
MARK = re.compile(
    (
        r"\b(?:actually|correction|for the record|should (?:\w+ )?(?:mention|say|add|note"
        r"|tell you)"
        r"|wanted to (?:mention|say)|just so you know|so you know|heads[- ]up|fyi|btw"
        r"|by the way|note"
        r"|wait|sorry|wrong|(?<!hello )(?<!hi )(?<!hey )(?<!there )again|after all|now"
        r"|nowadays|these days|as of|since \w+|since"
        r"|from now on"
        r"|in fact|oh|ah no|nope|for what it's worth|fwiw|update|one thing|not (?:right|true"
        r"|correct)|incorrect"
        r"|mix(?:ed|ing)? (?:things|that|them|it|us|me) up|misremember\w*|mistaken?"
        r"|never said|the thing is"
        r"|please note|meant to (?:say|write)|forgot to (?:say|tell|mention)"
        r"|should have (?:said|told|mentioned)"
        r"|starting|from (?:next )?\w+ on|any ?more)\b|^\W*no\b[,.:]"
    ),
    re.IGNORECASE,
)
KIN = (
    r"partner|wife|husband|spouse|girlfriend|boyfriend|fiancée?|fiance|sister|brother"
    r"|mother|mum"
    r"|mom|father|dad|son|daughter|cousin|aunt|uncle|nephew|niece|grandmother|grandfather"
    r"|grandma"
    r"|grandpa|roommate|flatmate|neighbou?r|landlord|landlady|best friend|boss|manager"
    r"|team ?lead"
    r"|mentor|coach|trainer|supervisor|advisor|doctor|gp|vet|dentist|therapist|physio"
    r"|physiotherapist"
    r"|dog|cat|puppy|kitten|horse|kids?|baby|ex"
)
PROPERTY = (
    r"(?:(?:full|last|first|maiden|new|old|current|work|home|private|phone|mobile|weekly|daily"
    r"|monthly|native|job|start|working|street|postal|e-?mail|shoe|target|long-term|main) ){0,2}"
    r"(?:name|surname|nickname|e-?mail|address|phone|number|birthday|age|title|job|role|employer"
    r"|company|office|diet|goals?|weight|height|mileage|commute|car|bike|house|flat|apartment"
    r"|hometown|home|nationality|schedule|hours|pronouns|allergy|degree|salary|budget|wedding"
    r"|appointment|handle|tongue|language|time ?zone|team|favou?rite \w+|preference)"
)
MY = (
    rf"(?:my|our) (?:(?:new|old|older|younger|little|big) )?(?:{KIN}"
    rf"|{PROPERTY})(?:'s (?:name|surname|last name|birthday|age))?"
)
NAME = r"(?-i:[A-ZÀ-ÞŁ-Ž][\w'.À-ɏ-]*(?: (?:(?:de|van|von|der|la)|[A-ZÀ-ÞŁ-Ž][\w'-]+)){0,3})"
WE = r"(?:i|we|(?-i:[A-Z]\w+) and i)"
WE_ARE = r"(?:i'?m|i am|we'?re|we are)"
WE_HAVE = r"(?:i've|ive|i have|we've|we have|(?-i:[A-Z]\w+) and i have|(?-i:[A-Z]\w+) and i)"
DID = rf"(?:{WE_HAVE}|{WE})(?: (?:just|recently|finally|since|now|already|also|both|all))*"
MORE = r"(?:\s+(?:any ?more|any longer))"
LIFE = (
    r"(?:live|work(?! on (?:this|that|the|it)\b)|eat|drink|smoke|drive|own|play|study|teach|speak"
    r"|prefer|like|love|hate|use|travel|commute|train|swim|run|cycle|bike|walk|attend|practi[sc]e"
    r"|wear|rent|sing|dance|paint|garden|meditate|volunteer|celebrate|date|fly|ski|climb|read|code"
    r"|go to|go by|take|have|want|plan|do|keep|need|sleep|get up|start (?:work|at)|be)"
)
TALK = re.compile(
    (
        r"\b(?:errors?|warnings?|exceptions?|bugs?|issues?|problems?|questions?|logs?"
        r"|messages?|outputs?"
        r"|button|access|ideas?|clue|this(?! (?:week|month|year|morning|spring|summer|autumn"
        r"|fall|winter|past|time|weekend))|that|it|them|these|those|point|functions?"
        r"|class(?:es)?|files?"
        r"|code|scripts?|variables?|lines?|columns?|rows?|rewrite|review|answers?|doubts?"
        r"|page|link"
        r"|option|field|request|response|tests?|build|branch|commit|deploy|rollout|migration"
        r"|container"
        r"|diffs?|pull requests?"
        r"|server|command|terminal|typing|app|program|tab|window|you|your|to (?:talk|hear|see"
        r"|know|do"
        r"|say))\b"
    ),
    re.IGNORECASE,
)
PRONOUN = re.compile(
    r"\b(?:like|love|hate|enjoy|prefer|need|eat|drink|miss) (?:it|them|that)\b", re.IGNORECASE
)
THING = re.compile(
    r"^(?:the |my |a |an |our |this |that |these |his |her )?"
    r"(?:\w+ )?(?:files?|lines?|functions?|class(?:es)?|methods?|modules?|columns?|rows?|tables?"
    r"|variables?|args?|arguments?|parameters?|options?|sections?|paragraphs?|sentences?|words?"
    r"|examples?|steps?|points?|parts?|answers?|questions?|versions?|branch(?:es)?|commits?|joins?"
    r"|quer(?:y|ies)|tests?|instances?|objects?|errors?|warnings?|bugs?|features?|issues?|lists?"
    r"|dicts?|tuples?|sets?|strings?|ints?|floats?|config|code|docs?|pages?|chapters?|slides?"
    r"|one|ones|first|second|third|last|other|left|right|former|latter|approach|idea|way|tone"
    r"|title|draft|port|endpoint|api|index|key|value|script|container|server|mean|sum|median"
    r"|fork|repo|button|image|picture|graph|chart|cell|formula|theorem|proof|equation)\b",
    re.IGNORECASE,
)
TECH = re.compile(
    r"^(?:\d+(?:\.\d+)+|\d+px|\d+ ?(?:ms|mb|gb|kb|%|bytes?|lines?|x)|utf-?\d+|iso-?\d+|http\w*|json"
    r"|yaml|xml|html|css|sql|csv|get|post|put|none|null|true|false|nan|java|javascript|typescript"
    r"|python|rust|go|ruby|c|c\+\+|bash|zsh|regex|ascii|windows|linux|mac|ubuntu|sha-?\d+|md5|x86"
    r"|arm\d*|ipv\d|tcp|udp|str|int|float|bool|list|dict|line \d+|step \d+|option \w|python [\d.]+"
    r"|[\w.]*[_()\[\]{}=<>/\\][\w.]*|.*\.(?:py|js|ts|txt|md|json|yaml|yml|csv|sh))$",
    re.IGNORECASE,
)
WEEKDAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?"
MONTH = (
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december"
    r"|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)"
)
VAGUE = re.compile(
    (
        r"(?:much|many|a|an|the|so|very|really|too|that|this|my|your|enough|good|great|bad"
        r"|ready|sure|yet"
        r"|only|just|all|any|even|quite|always|there|here|me|you|us|him|her|them|mine|yours)\b"
    ),
    re.IGNORECASE,
)
VALUE = re.compile(
    (
        rf"(?:(?:the|on|in|at|by|from|until|about|a|an) )*(?:{WEEKDAY}|{MONTH}|\d|{NAME}"
        rf"|(?:my|his|her|our) (?:{KIN})|spring|summer|autumn|winter|vegan|vegetarian"
        rf"|(?:a )?(?:{KIN})$"
        r"|two|three|four|five|six|seven|eight|nine|ten|one$"
        r"|(?:wal|hazel|pea|cashew )?nuts?|left$|decaf|married|divorced|mornings?|evenings?)"
    ),
    re.IGNORECASE,
)
ENDING = re.compile(
    (
        r"[.!?;()\ufffc]|\s[-–—]+\s|—|:\s"
        r"|,\s+(?:so|but|and|because|which|who|since|as|can|could|please|if|i|i'm|we|my|right"
        r"|thanks|thx"
        r"|though|he|she|it|they|it's|he's|that|what|just|skip|forget|is|do|the|lol|haha|ok"
        r"|no|nope"
        r"|anyway|still|now|see|how|feeling)\b"
        r"|\s(?:so|because|while|though|although|if|btw|lol|tbh|and (?:i|we|my|he|she|it|they"
        r"|now|the"
        r"|then|need|want)|but)\b"
    ),
    re.IGNORECASE,
)


def until(text: str) -> str:
    """The text to the end of what it says."""
    text = text[:160]
    end = ENDING.search(text)
    return " ".join(text[: end.start() if end else len(text)].split()).strip(" ,:-–—")[:LONGEST]


def is_value(text: str) -> bool:
    """May this be the value of something in memory: a name, a number, a day, one of the family?"""
    bare = text.strip(" .,!?'")
    return bool(
        bare
        and len(bare.split()) <= 7
        and not THING.match(bare)
        and not TECH.match(bare)
        and VALUE.match(bare)
    )


def is_life(text: str) -> bool:
    """May this be a thing of somebody's life, and not of the conversation?"""
    return bool(text.strip()) and not TALK.search(text) and not text.lstrip().startswith("`")


# --- patterns ------------------------------------------------------------------------------------


def compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


WORK = (
    r"(?:my |the |a |an |our )?(?:\w+ ){0,2}?(?:job|company|firm|team|work|school"
    r"|university|college"
    r"|choir|band|orchestra|club|gym|course|course|class|board|church|party|union|army"
    r"|league|agency"
    r"|startup|practice|hospital|career|position|role|internship|phd|doctorate|degree"
    r"|studies|apprenticeship|country|city|town|flat share)\b"
)
HABIT = (
    r"(?:smoking|drinking|coffee|caffeine|alcohol|sugar|meat|dairy|gluten|nicotine|gambling|running"
    r"|facebook|twitter|instagram|tiktok|social media|vaping|weed|cigarettes|yoga|swimming|piano"
    r"|guitar|chess|therapy)\b"
)
CHANGED = (
    (
        (
            rf"{DID} moved (?:house|out|in with|in together|away|abroad|back (?:home|to)"
            r"|into (?:a|an|my|our|the)"
            r" (?:[\w-]+ ){0,3}(?:flat|house|apartment|place|home|room|studio|cottage)|to (?:a"
            r"|an|our|my) (?:[\w-]+ ){0,2}"
            r"(?:flat|house|apartment|place|home|farm|village|city|town)|to the (?:countr|coast"
            rf"|city|sea|suburb)|(?:back |over |up |down |out )?to {NAME})"
        ),
        0,
    ),
    (
        (
            rf"{DID} moved (?:back |over |up |down |out )?to (?!the\b|a\b|an\b|my\b|our\b|next\b"
            r"|main\b|master\b|src|python|\w+script|go\b|rust|async)[a-z][a-z']{3,}(?: last"
            r"| this| in| on|[.,!]|$)"
        ),
        0,
    ),
    (
        (
            rf"{DID} (?:left|quit) (?!vim|emacs|the app|the program|it\b)(?:{WORK}|{HABIT}"
            rf"|{NAME}(?! open| on\b| running| out\b)|\w+ing\b(?! the))"
        ),
        1,
    ),
    (
        (
            rf"{DID} (?:resigned|retired|been (?:laid off|fired|promoted|made redundant"
            r"|diagnosed with)|graduated)\b"
        ),
        1,
    ),
    (r"i(?:'m| am|m|'ve|'ve just| have| just)* (?:now )?retired\b", 1),
    (
        (
            rf"{DID} (?:started|begun|began|taken|took) (?:(?:at|with) {NAME}|(?:a|an|my"
            r"|our) (?:\w+ ){0,2}"
            r"(?:job|role|position|course|degree|phd|master'?s|business|company|diet|therapy"
            r"|family|apprenticeship|internship|sabbatical)\b"
            r"|(?:learning|studying) (?!about|how)\w+|school\b|university\b|college\b"
            r"|work(?:ing)? (?:at|as|for|part|full|from)|smoking|running again|therapy)"
        ),
        1,
    ),
    (
        (
            rf"{DID} changed (?:jobs|careers|schools|doctors|banks|teams|companies|employers"
            r"|universities|cars|names"
            rf"|(?:my|our) (?:{KIN}|{PROPERTY})(?! to \d+(?: ?(?:px|s|ms)))|(?:the|our"
            r"|my) (?:wedding|surgery|exam|race|holiday|travel|trip) (?:date|day|plans?)\b)"
        ),
        1,
    ),
    (
        (
            rf"{DID} switched (?:teams|jobs|careers|banks|doctors|schools|employers|departments"
            r"|cars|phones|gyms)\b"
        ),
        1,
    ),
    (
        (
            rf"(?:i|{WE_HAVE})(?: (?:just|recently|finally|since"
            r"|now))* switched (?:from [\w' -]{2,30} )?to (?!(?:the |an? )?(?:\S+ )?(?:branch"
            r"|main|master|dev\w*|mode|tab|version|window|approach|option|queue)\b|using"
            r"|[\w.]*[_/(\d])"
        ),
        2,
    ),
    (
        (
            r"we (?:have |just |recently )*switched (?:from [\w' -]{2,30} )?to (?:a|an) (?!new "
            r"|different |for |while )[\w-]+(?=\W*$|[,.!])"
        ),
        2,
    ),
    (
        (
            rf"{DID} switched (?:my|our) (?:{KIN}|{PROPERTY}|editor|keyboard|browser|phone"
            r"|laptop|os|shell|bank|insurance|gym) "
        ),
        2,
    ),
    (
        (
            rf"{DID} (?:got|gotten|gone) (?:married|divorced|engaged|promoted(?= to\b|\W*$|[,.!]"
            r"| last| this)|pregnant|fired|laid off|separated|vegan|vegetarian|diagnosed"
            r"|(?:a|an|another|my|our|two|three) (?:[\w-]+ ){0,2}(?:job|dog|cat|puppy|kitten"
            r"|role|position|car|bike|flat|house|apartment|manager|boss|phone number|degree"
            r"|licen[cs]e|promotion|raise|horse|baby)\b)"
        ),
        1,
    ),
    (
        (
            rf"{DID} renamed (?:the|my|our) (?:project|company|dog|cat|repo|repository|team"
            r"|product|startup|band|blog|newsletter|vault|business)\b.{0,60} to \S"
        ),
        1,
    ),
    (
        (
            rf"{DID} sold (?:my|our|the) (?:\w+ )?(?:car|house|flat|apartment|bike|boat|van"
            rf"|motorbike|company|business|piano|{NAME})"
        ),
        1,
    ),
    (
        (
            rf"{DID} bought (?:a|an|our|my) (?:\w+ ){{0,2}}(?:car|house|flat|apartment|boat|van"
            r"|motorbike|farm|cottage)\b"
        ),
        1,
    ),
    (
        (
            rf"{DID} (?:stopped|quit|given up|gave up) (?:eating|drinking|smoking|working|running"
            r"|using|taking|playing|swimming|teaching|driving|studying|learning|going"
            rf"|practi[sc]ing|seeing|wearing|flying|{HABIT})"
        ),
        1,
    ),
    (rf"{DID} (?:given up|gave up) (?:on )?(?:the|my|our|{NAME}) ?\S", 1),
    (rf"{DID} (?:broken up|broke up|split up|separated|divorced|married)\b", 1),
    (
        (
            rf"{DID} (?:lost my job|adopted (?:a|an|two|our) \w|had (?:a|our"
            r"|twins)(?: \w+)? ?(?:baby|son|daughter|girl|boy|child)?|become (?:a|an) \w"
            r"|became (?:a|an) \w)"
        ),
        1,
    ),
    (r"i (?:have |just |recently )*turned \d{2}\b", 1),
    (
        (
            rf"{WE} have (?:a|an) new (?:job|dog|cat|car|phone number|number|address|e-?mail|boss"
            r"|manager|partner|girlfriend|boyfriend|doctor|flat|house|role)\b(?! (?:question"
            r"|issue|problem))"
        ),
        1,
    ),
    (rf"{DID} moved(?=\W*$|[,.!])", 1),
    (
        (
            r"(?:i|we) haven'?t (?:eaten|drunk|smoked|had a (?:drink|cigarette)|driven"
            r"|flown) .{0,40}\b(?:since|in|for)\b"
        ),
        1,
    ),
    (
        (
            rf"(?:my|our) (?:\w+ )?(?:{KIN}) (?:was born|has died|died|passed away"
            r"|has passed away)\b"
        ),
        1,
    ),
    (
        (
            rf"{DID} changed my mind about (?!the (?:title|approach|name|first|last|order|design"
            r"|color|colour|format|wording)\b|this|that|it)\w"
        ),
        2,
    ),
)
BECAME = compiled(
    rf"(?:{DID} (?:moved|left|quit|resigned|retired|been|graduated|started|begun|began"
    r"|taken|took"
    r"|changed|switched|got|gotten|gone|renamed|sold|bought|stopped|given|gave|broken"
    r"|broke|split"
    r"|separated|divorced|married|lost|adopted|had|become|became|turned|have)\b"
    r"|i\b.{0,30}\bretired\b|(?:i|we) haven|(?:my|our) .{0,40}\b(?:born|died|passed)\b)"
)
WITHOUT_I = compiled(
    r"(?:just |recently |finally )*(?:got|moved|quit|left|started|changed|sold|bought)\b"
)
SWITCHED_WORK = re.compile(
    (
        r"\b(?:and|but|see|then|which) (?:it|the|now|ran|pulled|run|tests?|still|get|got"
        r"|below|that|this)\b"
        r"|\b(?:loops?|dicts?|arrays?|lists?|strings?|threads?|cache|parser|library|accounts?"
        r"|callbacks?|model|error|fails?|failing|latency|branch|tests|build|pool|endpoint"
        r"|queue|schema|logs?)\b"
    ),
    re.IGNORECASE,
)

NO_LONGER = (
    (rf"(?P<who>{WE}) no longer (?P<v>{LIFE}\b\s*[^.!?;\n]{{0,100}})", 0),
    (
        (
            rf"(?P<who>{WE}) (?:don't|dont|do not|can't|cannot"
            rf"|won't) (?P<v>{LIFE}\b[^.!?;\n]{{0,90}}?){MORE}"
        ),
        0,
    ),
    (
        (
            rf"(?P<who>{WE_ARE}) no longer (?P<v>(?:at|in|with|on|an?|the|{NAME}|married|single"
            r"|vegan|vegetarian|pregnant"
            r"|allergic|engaged|living|working|learning|studying|training|teaching|based|employed"
            r"|part of|responsible|together|dating|seeing|eating|drinking"
            r"|smoking)\b[^.!?;\n]{0,90})"
        ),
        0,
    ),
    (
        (
            rf"(?P<who>{WE_ARE} not|{WE} aren't|{WE} ain't) (?P<v>(?:at|in|with|on|an?|the|{NAME}"
            r"|married|single|vegan|vegetarian|pregnant"
            r"|allergic|engaged|living|working|learning|studying|training|teaching|based|employed"
            rf"|together|dating|eating|drinking|smoking)\b[^.!?;\n]{{0,80}}?){MORE}"
        ),
        0,
    ),
    (
        (
            rf"(?P<who>{WE_ARE} not) (?P<v>(?:allergic|a |an |vegan|vegetarian|married|in |from "
            r"|at )[^.!?;\n]{1,60}) (?:after all|at all)"
        ),
        0,
    ),
    (
        (
            rf"(?P<who>{WE}) (?:used to|once) (?P<v>(?!think|get|see|have (?:an?|this"
            r"|that) (?:error|warning|bug|problem))[^.!?;\n]{3,90}?)[,;]?\s+(?:but|and) (?:now"
            r"|these days|nowadays|today|lately|since)\b"
        ),
        1,
    ),
    (
        (
            r"(?P<who>(?!(?:my|our) (?:\w+ )?(?:phone|car|bike|e-?mail|house|flat|home|office"
            rf"|tongue|handle|language) ){MY}) (?:is no longer|isn't|is not|aren't|are no longer"
            r"|doesn't|does not|no longer|don't) (?P<v>[^.!?;\n]{2,80})"
        ),
        2,
    ),
)
OTHERS_NO_LONGER = compiled(
    rf"(?P<who>{NAME}) (?:is no longer|isn't|doesn't|does not|no longer) (?P<v>[^.!?;\n]{{2,80}})"
)

SAID = (
    # positive statements that count where a mark like "actually" or "now" stands by them
    (
        (
            rf"(?:{WE}) (?:now |only |mostly |always |usually |actually |do )*(?:live|work|drive"
            r"|eat|drink|bike|cycle|swim|run|study|teach|prefer|own|speak|commute|walk|train|sing"
            r"|play|start)\b"
            r"(?! (?:on (?:this|that|the|it)|the (?:\w+ )?(?:tests?|code|script|build|command"
            r"|query|server|migration|first|second))\b)"
        ),
        0,
    ),
    (
        (
            rf"{WE_ARE} (?:now |only |mostly |actually |currently |still )*(?:living|staying"
            r"|working (?:from|part|full|at|for|as|in|with|four|three|only)|based|studying"
            r"|teaching|learning|driving|commuting|eating|drinking|training|on (?:a|parental"
            r"|sabbatical|maternity|paternity)|part[- ]time|full[- ]time)\b"
        ),
        0,
    ),
    (
        (
            rf"(?:{WE_HAVE}) (?:actually |only |always |never |now )*(?:lived|worked|studied|known"
            r"|been (?:living|working|vegan|vegetarian|married|single))\b(?! (?:on|with) (?:it"
            r"|this|that))"
        ),
        0,
    ),
    (
        (
            rf"(?:{WE}) (?:actually |never |only |did )*(?:studied|study|lived|worked|grew up"
            r"|was born|were born|went to (?:school|university|college)|smoked)\b"
        ),
        0,
    ),
    (
        (
            rf"(?:{WE}) (?:now |actually |only )*(?:have|has) (?:\d+|a|an|one|two|three|four|five"
            r"|six) (?:\w+ ){0,2}(?:dogs?|cats?|kids?|children|sons?|daughters?|sisters?"
            r"|brothers?|siblings|cousins|nephews?|nieces?|cars?|bikes?|allerg\w+|horses?"
            r"|grandchildren)\b"
        ),
        0,
    ),
    (
        (
            rf"(?:{WE}) (?:can't|cannot|don't|do not|never) (?:eat|drink|drive|fly|swim|smoke"
            r"|work on)\b"
        ),
        0,
    ),
    (
        (
            rf"{WE_ARE} (?:now |actually )*not (?:married|single|a |an |vegan|vegetarian|american"
            r"|from |religious)"
        ),
        0,
    ),
    (rf"{WE_ARE} (?:now )?(?:at|with|in|from) (?:the )?{NAME}(?! ?\d)", 0),
    (
        (
            rf"{WE_ARE} now (?:the|an?) (?:[\w-]+ ){{0,2}}(?:lead|head|owner|dev|developer|engineer"
            r"|manager|member|dad|mum|mom|mother|father|parent|uncle|aunt|teacher|nurse|citizen"
            r"|resident|homeowner|director|student)\b"
        ),
        0,
    ),
    (
        (
            rf"{WE} (?:can't stand|can't bear|hate|love|like|dislike|enjoy) (?!it\b|this|that|them"
            r"|the (?:way|idea|first|second|new|old)|your|how|when|to see)\w"
        ),
        0,
    ),
    (
        (
            rf"{MY} (?:is|are)(?: now)?(?: called| named| spelled| spelt)? (?!not\b|too\b|so\b"
            r"|very\b|still\b|broken|slow|full|dead|empty|\w+ing\b|in (?:the )?(?:way|next))\w"
        ),
        0,
    ),
    (
        (
            rf"{WE_ARE} (?:now |actually )*(?:an? )?(?:\w+ )?(?:vegetarian|vegan|pescatarian"
            r"|married"
            r"|single|divorced|engaged|retired|widowed|pregnant|left-handed|\d{2}(?! ?(?:%|min"
            r"|sec|lines|km|kg|mb)))(?=\W|$)"
        ),
        0,
    ),
)

FIRST = compiled(r"(?:i|we|my|our|call|everyone)\b|(?:im|ive)\b|(?-i:[A-Z])\w+ (?:is my|and i)\b")
NOT = re.compile(
    (
        r"(?:(?:,|\s[-–—]+|\s*—)\s*"
        r"|\s)(?:and )?not (?P<old>[^.!?;,()\n]{1,60}?)(?=\s*(?:[.!?;,()]|$|\s[-–—]|—"
        r"|\s(?:that|so|but|and|because|any|after|as)\b))"
    ),
    re.IGNORECASE,
)
ITS = compiled(
    r"(?:it's|its|it is|it was|that's|that is|she's|he's|they're|this is) (?:called "
    r"|spelled |actually |now |on |in )*(?P<new>[^.!?;,()\n]{1,60}?)"
    r",?\s+(?:and )?not (?P<old>[^.!?;,()\n]{1,50}?)(?=\s*(?:[.!?;,()—]|$|\s[-–—]"
    r"|\s(?:that|so|but|and|because|any|which|who|where)\b))"
)
MEANT = compiled(
    r"(?:what )?i (?:actually )?(?:meant|mean)(?: was| is| to say"
    r"| to write)?:? (?P<new>[^.!?;,()\n]{1,60}?)(?:,?\s+(?:and )?not (?P<old>[^.!?;,()\n]"
    r"{1,50}?))?"
    r"(?=\s*(?:[.!?;,()—]|$|\s[-–—]|\s(?:so|but|and|because|that|in|on|at|he|she)\b))"
)
ITS_NOT = compiled(
    r"(?:it's|its|it is|he's|she's|we're|i'm) (?:not|no longer) (?:in |on |at "
    rf"|called )?(?P<old>{NAME}|{WEEKDAY}|{MONTH}|\d[\w.:]*)"
    r"(?: any ?more| any longer)?\s*[,;.–—-]*\s+(?:but |it's |its |it is |he's |she's "
    r"|now )+(?:in |on |at |called )?(?P<new>[^.!?;,()\n]{1,50})"
)
NOT_FIRST = compiled(rf"not (?P<old>{NAME}|\d[\w.:]*|{WEEKDAY}|{MONTH})\W+")
FORGET = compiled(
    r"(?:please |you can |you may |can you |could you |so |just |also |now |ok "
    r"|and )*forget "
    r"(?:(?:what i (?:said|told you|wrote)|the (?:thing|bit|part|fact|stuff)|everything"
    r"|all|anything)? ?(?:about )?)"
    r"(?P<v>(?:that |the fact that )?[^.!?;\n]{2,120})"
)
FORGET_NOT = compiled(
    r"(?:(?:that|it|this|it all|everything)(?=\W*$|,|\s+(?:please|and|then|now|for now"
    r"|let's)\b)"
    r"|(?:about )?(?:that|this) (?:idea|plan|one|part|approach|last|question|thought"
    r"|function|bit)\b"
    r"|about (?:it|that|this)\b|the (?:\w+ )?(?:last|previous|first|second|above"
    r"|rest|tests?|code|function|answer|draft|version|idea|question|file|format|plan b)"
    r"|(?:the )?(?:previous|last|above)\b.*"
    r"|everything above|all (?:of )?(?:the )?above|what i (?:said|wrote)|to \w+.*"
    r"|your (?:instructions|rules|prompt).*)(?:\b.*)?$"
)
UPDATE = compiled(
    r"(?:please |can you |could you |would you |also |so |ok |and |now )*(?:"
    r"(?:update|correct|fix|change|edit)(?: (?:this|that|it))?(?: in| to)? (?:your|the"
    r"|my) (?:memory|notes|records?|facts|profile)(?: of me| about me)?"
    r"|(?:make|take) a note|note (?:down )?(?:in|for) your (?:memory"
    r"|notes))\b(?P<v>[^\n]{0,200})"
)


@functools.cache
def changed() -> list[tuple[re.Pattern[str], int]]:
    return [(compiled(pattern), kind) for pattern, kind in CHANGED]


@functools.cache
def no_longer() -> list[tuple[re.Pattern[str], int]]:
    return [(compiled(pattern), kind) for pattern, kind in NO_LONGER]


@functools.cache
def said() -> list[re.Pattern[str]]:
    return [compiled(pattern) for pattern, _ in SAID]


BUT_NOW = compiled(r"\b(?:but|and) (?=(?:now|these days|nowadays|today|lately|since)\b)")
NO_NAME = re.compile(r"(?:That|The|This|It|There|Our|My|Your|These|What|Which|He|She|They|We|I)\b")
NO_MORE = compiled(r"\bno longer\b|\bany ?more\b|\bany longer\b")
SPELT = compiled(r"\b(?:spelled|spelt|called)\b")
SOMEBODY = compiled(r"(?:it's|she|he|it|i|we|my|they)\b")
OWN = compiled(rf"(?:{WE}|{WE_ARE}|{WE_HAVE}|my|our)\b")
OWN_IS = compiled(r"\b(?:my|our|i|we)\b.* (?:is|are|was|were)\b")
OF_KIN = compiled(rf"(?:my|our) (?:\w+ )?(?:{KIN})\b")
PREFERS = compiled(r"(?:\w+ )?prefers?\b")
CORRECTION = compiled(r"\bcorrection\b")
RATHER = compiled(r",\s+(?:not|rather than) .{1,40}$")
THAT = compiled(r"^(?:that |the fact that |about )+")
ABOUT_OWN = compiled(rf"\b(?:i|i'm|i've|my|we|our|me)\b|{NAME}")
ABOUT_TALK = compiled(r"(?:you|your)\b|i (?:asked|said|mentioned|wrote|typed|posted)\b")
SAYING = compiled(r"^(?:please|that|with|to say|to)\b[\s:,]*(?:that\b)?")
OF_A_MACHINE = compiled(r"(?:limit|usage|leak|of the|size|when|if)\b")


def is_talk(text: str) -> bool:
    """Is it a thing of the conversation, or of a program?"""
    return bool(THING.match(text) or TECH.match(text))
