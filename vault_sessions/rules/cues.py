"""What a sentence of a chat is: a decision, a result, advice, a question, or mere politeness.

By words and phrases of the languages that are known here (English and German well, Japanese
fairly, others a little); a sentence of another language is judged by its numbers and names. Most
sentences have none of the words, and for those no pattern is tried.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from vault_sessions.rules.prose import CJK

_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_QUOTE = re.compile(r"[\"“”„«»]")
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|„[^“”]*[“”]|«[^»]*»")
_CODE = re.compile(r"`[^`]+`")
_WEEKDAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"


class Cues(NamedTuple):
    """What speaks for and against a sentence. ``content``: the words that it is about."""

    is_cjk: bool
    asks: bool
    requests: bool
    decided: bool
    done: bool
    is_open: bool
    lasting: bool
    reason: bool
    advice: bool
    polite: bool
    empty_talk: bool
    dangling: bool
    numbers: int
    names: int
    letters: int
    content: frozenset[str]


def read(text: str) -> Cues:
    """The cues of one sentence."""
    lower = text.lower().replace("’", "'")
    tokens = _TOKEN.findall(lower)
    if _QUOTE.search(lower):  # what is quoted was said by somebody else
        lower = _QUOTED.sub(" ", lower)
    words = frozenset(_TOKEN.findall(lower)) if _QUOTE.search(text) else frozenset(tokens)
    cjk = CJK.findall(text)
    asks = bool(_ASKS.search(text)) or (bool(tokens) and tokens[0] in _ASKING)
    asks = asks and not _WHAT_IS_OPEN.match(lower)
    numbers = len(_NUMBER.findall(text)) if any(map(str.isdigit, text)) or cjk else 0
    plain = _CODE.sub("code", text) if "`" in text else text
    return Cues(
        is_cjk=bool(cjk),
        asks=asks,
        requests=asks
        or bool(words & _REQUESTING and _REQUESTS.search(lower))
        or bool(cjk and _REQUESTS_CJK.search(text)),
        decided=not asks and _is_decision(lower, words, bool(cjk)),
        done=not asks and bool(_is_done(lower, words) or (cjk and _DONE_CJK.search(text))),
        is_open=not asks
        and bool((words & _OPEN_WORDS and _OPEN.search(lower)) or (cjk and _OPEN_CJK.search(text))),
        lasting=bool(words & _LASTING)
        or bool(words & _MY and _MY_PEOPLE.search(lower))
        or bool(cjk and _LASTING_CJK.search(text)),
        reason=bool(words & _REASON or (cjk and _REASON_CJK.search(text))),
        advice=bool(words & _ADVICE or (cjk and _ADVICE_CJK.search(text)))
        or bool(tokens and tokens[0] in _ANSWERS),
        polite=bool(tokens and tokens[0] in _POLITE and _POLITE_START.match(lower))
        or bool(cjk and _POLITE_CJK.match(text)),
        empty_talk=bool(words & _EMPTY_WORDS and _EMPTY_TALK.search(lower))
        or bool(cjk and _EMPTY_CJK.search(text)),
        dangling=bool(tokens and tokens[0] in _POINTING) or "that one" in lower,
        numbers=numbers,
        names=len(_NAME.findall(text)),
        letters=sum(map(str.isalpha, plain)) * 100 // max(1, len(plain)),
        content=_content(tokens, text, bool(cjk)),
    )


def _content(tokens: list[str], text: str, is_cjk: bool) -> frozenset[str]:
    """Words, numbers, and pairs of characters where words aren't parted."""
    found = {t for t in tokens if len(t) > 2 and t not in STOP}
    found.update(_DIGITS.findall(text))
    if is_cjk:
        found = {t for t in found if not CJK.search(t)}
        found.update(_CJK_PAIR.findall(text))
    return frozenset(found)


def _is_decision(lower: str, words: frozenset[str], is_cjk: bool) -> bool:
    if words & _DECISION_WORDS and (found := _DECIDED.search(lower)):
        # an "if" behind it is a condition that was decided on
        return not _NOT_DECIDED.search(lower[: found.end() + 12])
    return is_cjk and bool(_DECIDED_CJK.search(lower)) and not _NOT_DECIDED_CJK.search(lower)


def _is_done(lower: str, words: frozenset[str]) -> bool:
    found = words & _DONE
    return bool(found) and (found != {"works"} or not _EMPLOYED.search(lower))


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_DIGITS = re.compile(r"\d[\d.,:/-]*\d|\d")
_CJK_PAIR = re.compile("(?=([\u30a0-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]{2}))")
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_.])[$€£¥]?\d[\d.,:/–-]*|[一二三四五六七八九十]+(?:月|日|時|年|円)"
)
_NAME = re.compile(
    r"(?<=[\w,;] )(?!I\b|I')[A-ZÀ-ÖØ-Þ][\w.-]*[a-z0-9]\w*|[A-Z]{2,}\d*|「[^」]{1,20}」|\w+さん"
)
_ASKS = re.compile(r"[?？][\W_]*$|(?:ですか|ますか|でしょうか|ませんか|吗|呢|나요|까요)[。.]?$")
_ASKING = _set("how what which where who why whose what's how's wie warum wieso welche welcher")
_POINTING = _set("this that these those it they he she both das es dies diese it's that's they're")
_ANSWERS = _set("yes no ja nein oui non sí")

_DECISION_WORDS = _set(
    """decided decision agreed settled chose picked opted go going stick sticking let's take
    keep use drop skip choose stay won't it entschieden beschlossen geeinigt vereinbart
    entscheidung nehmen nehme bleiben bleibe behalten machen verzichten décidé choisi prend
    garde part decidido elegido decidimos decidí quedamos deciso scelto decidi besloten"""
)
_DECIDED = re.compile(
    r"""(?x)
      \b(?:we|i|they|both|all|team)(?:'ve|\ have|'re|\ are|\ both|\ all|\ finally|\ now|\ just
        |\ also|\ then)*
        \ (?:decided|agreed|settled|chose|picked|opted)\b
    | ^\W*(?:and\ |so\ |ok,?\ |okay,?\ |final\ )*(?:decided|decision|agreed)\b.*\w
    | \bdecided\ (?:unanimously|to|on|that|against|for)\b
    | \b(?:i|we)(?:'ll|\ will|'m|\ am|'re|\ are)\ (?:now\ )?
        (?:go(?:ing)?\ (?:with|for)|stick(?:ing)?\ (?:with|to)|opt(?:ing)?\ for)\b
    | \blet's\ (?:go\ (?:with|for)|use|take|keep|drop|make\ it|stick)\b
    | \b(?:i|we)(?:'ll|\ will)\ (?:take|keep|use|drop|skip|choose)\b
    | \bwe\ (?:keep|drop|stay\ with|go\ with|won't|will\ not)\b
    | \b(?:it's|it\ is|that's|that\ is|is)\ (?:decided|settled)\b
    | ^(?!(?:what|how|so|as)\b)[\w'\ -]{2,40}\ it\ is(?:,?\ then)?\W*$
    | \b(?:haben|habe|hat)\b.*\b(?:entschieden|beschlossen|geeinigt|vereinbart)\b
    | ^\W*(?:entschieden|beschlossen|entscheidung)\b
    | \b(?:wir\ (?:nehmen|bleiben\ bei|behalten|machen\ es|verzichten)|ich\ (?:nehme|bleibe\ bei))\b
    | \b(?:on\ a|nous\ avons|j'ai)\ (?:décidé|choisi)\b | \bon\ (?:prend|garde|part\ sur)\b
    | \b(?:hemos|he)\ (?:decidido|elegido)\b | \bdecidimos\b | \bdecidí\b | \bnos\ quedamos\ con\b
    | \b(?:abbiamo|ho)\ (?:deciso|scelto)\b | \bdecidi\b | \b(?:hebben|heb)\ .*besloten\b
    """
)
_NOT_DECIDED = re.compile(
    r"""(?x)
      (?:\bnot|\bnever|n't|\byet\ to\ be)\ (?:yet\ |really\ |quite\ |been\ )*(?:decided|agreed
        |settled|chose|picked)\b
    | \b(?:if|whether|unless|until|once|before|suppose|imagine|assuming|what|when|why|how|who|which)
        \ (?:we|i|they|it|you)\b
    | \b(?:should|could|shall|would|did|do|can)\ (?:we|i|you|they)\b | \bplease\b
    | \bnicht\ (?:entschieden|beschlossen)\b | \b(?:falls|wenn|was|ob|sollen|können)\ (?:wir|ich)\b
    | \bpas\ encore\ (?:décidé|choisi) | \bno\ (?:hemos|he)\ | \blet's\ (?:use|take
      |keep)\ (?:this|that|it)\b
    """
)
_DECIDED_CJK = re.compile(
    r"(?:に|こと(?:に|が))(?:します|しました|決めま|決めた|決まりま|決定)|と決めま|に決めた"
    r"|决定|就用|選擇了|选择了|定了|하기로 ?(?:했|결정)|결정했"
)
_NOT_DECIDED_CJK = re.compile(
    r"決めていません|決まっていません|決めてない|决定了吗|还没|次第|かもしれ"
)

_WHAT_IS_OPEN = re.compile(
    r"\W*what(?:'s|\ is|\ remains)\ (?:still\ )?(?:open|missing|left|unclear)\b[^?]{12,}[^?]$"
)
_OPEN_WORDS = _set(
    """still open outstanding pending todo do not yet haven't hasn't undecided remind waiting
    follow following followup tomorrow tonight later next weekend left remains remain
    decide monday tuesday wednesday thursday friday saturday sunday noch offen offene
    offener reste encore faire queda falta todavía aún pendiente"""
)
_OPEN = re.compile(
    rf"""(?x)
      \bstill\ (?:open|missing|unclear|undecided|waiting|to\ do|to\ be|left|need|have\ to
        |unsolved)\b
    | \b(?:open|outstanding|pending)\ (?:points?|questions?|items?|issues?|tasks?)\b | ^\W*open\s*:
    | \bto-?do\b\s*: | ^\W*to-?do\b | (?:\bnot|n't)\ (?:yet\ )?(?:decided|settled|sure\ yet
      |done\ yet)\b
    | (?:haven't|hasn't|have\ not|has\ not)\ .*\byet\b | \bundecided\b
    | \bremind\ me\b | \bwaiting\ (?:for|on|to\ hear)\b | \bfollow(?:ing)?[- ]up\b
    | \b(?:i|we)(?:'ll|\ will|'m\ going\ to|\ (?:still\ )?(?:need|have|must)\ to)\b.*
      \b(?:tomorrow|tonight|later|next\ (?:week|month|time|year)|on\ {_WEEKDAY}|by\ {_WEEKDAY}
        |(?:this|over\ the|at\ the)\ weekend)\b
    | \bwhat(?:'s|\ is)\ left\b | \bremains?\ to\ be\b | \bdecide\ (?:later|at\ the\ end|by\ the)\b
    | \bnoch\ (?:offen|unklar|zu\ tun|zu\ klären|aus)\b | \boffene?r?\ (?:punkte?|fragen?)\b
    | \b(?:ich\ muss|wir\ müssen|muss\ ich|müssen\ wir|muss)\ (?:\w+\ )?noch\b
    | \breste\ à\b | \bpas\ encore\b | \bà\ faire\b | \bqueda\ por\b | \bfalta\b
    | \b(?:todavía|aún)\ no\b | \bpendiente\b
    """
)
_OPEN_CJK = re.compile(
    r"まだ.{0,16}(?:ません|ない|です)|待ち|待って|未定|残って|後で|明日|还没|待定|待办|아직"
)
_DONE = _set(
    """works worked fixed solved resolved done finished deployed merged shipped sent passed
    passes green booked ordered signed paid submitted cancelled canceled approved dropped
    moved bought succeeded rebooted deleted confirmed took funktioniert geklappt klappt
    erledigt gelöst fertig läuft abgeschickt gebucht bestellt geantwortet unterschrieben
    résolu terminé envoyé réservé funciona resuelto listo enviado arreglado risolto fatto"""
)
_DONE_CJK = re.compile(
    "できました|直りました|読めました|動きました|解決|終わりました|届きました|送りました|うまくいき"
    "|成功|解决了|搞定|好了|됐|해결"
)
_EMPLOYED = re.compile(r"\bworks (?:at|for|as|in|with|from)\b")
_LASTING = _set(
    """remember always never prefer prefers favourite favorite allergic deadline due goal
    goals budget must married born moved immer niemals ziel frist toujours jamais siempre
    nunca"""
)
_MY = _set("my mein meine meiner meinem mon ma mi is lives works merk merke")
_MY_PEOPLE = re.compile(
    r"""(?x)\b(?:my\ (?:\w+\ )?(?:wife|husband|partner|son|daughter|sister|brother|mother|father
      |mum|mom|dad
        |boss|manager|doctor|landlord|landlady|physio|therapist|friend|colleague|girlfriend
          |boyfriend|aunt|uncle
        |grandmother|grandfather|dog|cat)
    | mein(?:e[rnm]?)?\ (?:frau|mann|partner(?:in)?|sohn|tochter|schwester|bruder|mutter|vater
      |chef(?:in)?)
    | merk(?:e)?\ dir | is\ (?:called|my) | lives?\ in | works?\ (?:at|for) | (?:mon
      |ma)\ (?:mari|femme|fils|fille)
    )\b"""
)
_LASTING_CJK = re.compile("覚えて|目標|予算|締め切り|締切|アレルギー|记住|目标|截止")
_REASON = _set(
    """because since instead therefore reason weil denn damit deshalb statt anstatt parce
    porque perché"""
)
_REASON_CJK = re.compile("ため|ので|から、|因为")
_ADVICE = _set(
    """should recommend suggest best better use try avoid fix cause answer solution can need
    may want means usually put keep add check sollte solltest sollten empfehle würde besten
    besser nimm vermeide faut conseille mieux conviene recomiendo mejor"""
)
_ADVICE_CJK = re.compile(
    "ましょう|おすすめ|してください|ポイント|ほうが|べき|可能です|できます|建议|应该|可以"
)
_REQUESTING = _set(
    """want need have help please can could would give show make write explain tell look like
    trying how what find plan review compare suggest recommend summarize translate draft
    walk kannst könntest brauche möchte hilf bitte erkläre schreib will peux pourrais aide
    aidez besoin voudrais puedes podrías necesito quiero ayuda potresti vorrei aiuto
    preciso pode"""
)
_REQUESTS = re.compile(
    r"""(?x)
      \b(?:i|we)(?:'d|\ would|\ really|\ just|\ also)*\ (?:want|need|like|have\ to)\b
        | \bneed\ (?:help|to|a|an|some|your)\b
    | \b(?:help|tell|show|give|walk|remind|teach)\ (?:me|us)\b | \b(?:can|could|would)\ you\b
      | \bplease\b
    | ^\W*(?:write|explain|make|find|plan|review|compare|suggest|recommend|summari[sz]e
      |translate|draft|look\ up|need|help|trying)\b
    | \bhow\ (?:do|can|to|should)\b | \btrying\ to\b
    | \b(?:kannst|könntest)\ du\b | \bich\ (?:brauche|möchte|will)\b | \bbitte\b
      | \bhilf\ mir\b | ^\W*(?:erkläre?|schreibe?)\b
    | \b(?:peux|pourrais)-?\ ?tu\b | \baidez?[- ]moi\b | \bbesoin\ d | \bvoudrais\b
    | \b(?:puedes|podrías)\b | \b(?:necesito|quiero)\b | \bayuda\b | \bpotresti\b | \bvorrei\b
      | \bpreciso\b | \bpode\b
    """
)
_REQUESTS_CJK = re.compile(
    "ください|たいです|お願い|ほしい|でしょうか|ますか|請|请|帮我|怎么|如何|想|해 ?주세요|알려"
)
_POLITE = _set(
    """hi hello hey dear good thanks thank thx cheers great perfect nice cool ok okay sure yes
    yeah yep no right alright awesome excellent lovely wonderful congratulations congrats
    sorry haha lol hmm um ugh wow please go continue noted understood got agreed done
    recorded remembered sounds happy glad of certainly absolutely welcome you're you enjoy
    exactly love i makes that same pretty next phew yay bye hallo moin guten danke vielen
    super klasse prima gern gerne sehr klar natürlich genau alles tschüss bonjour salut
    merci bien hola gracias claro buenos ciao grazie olá obrigado obrigada same works fixed
    ha hm mm oh"""
)
_POLITE_START = re.compile(
    r"""(?x)\W*(?:
      hi|hello|hey|dear|good\ (?:morning|evening|afternoon|night|call|point|question|luck)
        |thanks?|thx|cheers|great
    | perfect|nice|cool|ok(?:ay)?|sure|ye(?:s|ah|p)|no|right|alright|awesome|excellent|lovely
      |wonderful|congrat\w+
    | sorry|haha?|lol|h?mm+|um+|ugh|wow|please|go\ on|continue|noted|understood|got\ it|agreed
      |done|recorded|remembered
    | sounds\ good|happy\ to|glad|of\ course|certainly|absolutely|no\ problem|you're\ (?:welcome
      |right)|welcome|enjoy
    | exactly|love\ (?:it|that|the)|i\ like\ (?:it|that)|(?:that\ )?makes\ sense|same|pretty
      |next|phew|yay|bye|works|fixed|oh
    | hallo|moin|guten\ (?:tag|morgen|abend)|danke|vielen\ dank|super|klasse|prima
      |(?:sehr\ )?gerne?|klar|natürlich|genau
    | alles\ klar|tschüss|bonjour|salut|merci|bien\ sûr|hola|gracias|claro|buenos\ días|ciao
      |grazie|olá|obrigad[oa]
    )\b"""
)
_POLITE_CJK = re.compile(
    "(?:こんにちは|おはよう|こんばんは|ありがとう|お疲れ|はい|承知|了解|わかりました|なるほど|すみません"
    "|どういたしまして|よろしく|你好|您好|谢谢|好的|不客气|请问|안녕|감사|네,|고마)"
)
_EMPTY_WORDS = _set(
    """like help assist let feel hope happy glad question as here's here i'll anything would want do
    shall thanks thank luck was melde sag viel ich kann hier remember"""
)
_EMPTY_TALK = re.compile(
    r"""(?x)
      \blet\ me\ (?:know|look|check|see|read|run|start|think)\b | \bfeel\ free\b
        | \bhope\ (?:this|that|it)\ helps
    | \b(?:happy\ to|i\ can)\ help\b | \bglad\ (?:to|you) | \b(?:great|good)\ question\b
      | \bas\ an\ ai\b | \bif\ you\ (?:like|want|wish)\b
    | \bhow\ (?:can|may)\ i\ (?:help|assist)
    | ^\W*here(?:'s|\ is|\ are)\b | \bi'll\ (?:look|check|read|run|start|take\ a\ look|now)\b
      | \banything\ else\b
    | \b(?:would|do)\ you\ (?:like|want)\ me\b | \bshall\ i\b | \bwant\ me\ to\b | \bthank(?:s
      |\ you)\ (?:for|so)\b
    | \bgood\ luck\b | \bkann\ ich\ sonst\b | \bmelde\ dich\b | \bsag\ bescheid\b
      | \bviel\ (?:erfolg|spaß)\b | ^hier\ ist\b
    """
)
_EMPTY_CJK = re.compile("お役に立て|お手伝い|応援して|ご質問|教えてくださいね|いかがでしょうか")

STOP = _set(
    """the and for with that this from have has had was were are but not you your our its can
    will would could should what which when where who how why does did into about there
    here them they then than also just only some any all one two more most very been being
    over out off let get it's i'm i've we're don't that's still open now yes too per each
    both der die das und oder mit für von auf ist sind war nicht ein eine einen einem einer
    wir ich sie den dem des auch noch nur wie was wenn dass aus bei nach zum zur als aber
    les des une est pas pour que qui dans sur avec los las una por para con del como más
    che non"""
)
