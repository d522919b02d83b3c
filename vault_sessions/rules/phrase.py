"""A few words that say what a request is about, cut out of its own words.

No grammar is known here, only small words: what a request begins with, what ends a noun phrase,
what a phrase can't end with. Several sentences are tried, and the best phrase wins.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from vault_sessions.rules.prose import CJK

WORDS = 6
LONGEST = 60
_READ = 400  # characters of a sentence


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


class _Language(NamedTuple):
    """The small words of a language, in lower case.

    ``lead``: what a request begins with, without meaning of its own; ``action``: a verb follows.
    ``dull``: verbs that say nothing without what they are done to. ``finite``: words that end the
    subject of a statement. ``ends``: words that end a phrase. ``tail``: what follows it, dropped.
    ``lead``, ``action`` and ``tail`` are patterns.
    """

    known_by: frozenset[str]
    lead: str
    action: str
    dull: frozenset[str]
    articles: frozenset[str]
    small: frozenset[str]
    finite: frozenset[str]
    ends: frozenset[str]
    pronouns: frozenset[str]
    vague: frozenset[str]
    tail: str
    dull_tail: frozenset[str] = frozenset()


_ENGLISH = _Language(
    known_by=_set("the a an i is are my to of and for with in on how what can you me please it do"),
    lead=r"""(?x)(?:
          (?P<filler>(?:hi|hello|hey|hiya|yo|good\ (?:morning|evening|afternoon)
            |dear)(?:\ (?:there|all|again|claude|chatgpt|gpt|assistant|buddy|team))?
        | (?:ok|okay|so|well|um|uh|hmm|also|now|and|but|anyway|actually|please|pls|plz|thanks
          |sorry|right|alright|just|maybe|basically)
        | (?:a\ )?(?:quick|honest|stupid|dumb|small|simple|silly|random|noob)?\ ?(?:question
          |q)(?:\ (?:about|on|for\ you))?
        | (?:big|good|bad)\ news | (?:one|another)\ more(?:\ thing)? | context | report | task
        | (?:yesterday|today|tonight|tomorrow|recently|lately|this\ (?:morning|week)
          |last\ (?:night|week))
        | i\ (?:think|guess|believe|feel\ like)(?:\ that)?
        | (?:i(?:'m|\ am)|we(?:'re|\ are))\ (?:a|an)\ [\w ]{3,40}\ and)
        | (?:i'?m|i\ am|we'?re|we\ are)\ (?:currently\ |really\ |still\ )?(?:looking\ for
          |interested\ in|thinking\ (?:about|of)|struggling\ with|curious\ about
          |confused\ (?:about|by)|working\ on|stuck\ (?:on|with)|having|getting|seeing|writing
          |planning|building|preparing(?:\ for)?)
        | (?:i|we)(?:'d|'ve|\ would|\ have)?\ (?:really\ |just\ |urgently\ |also\ )?(?:need|want
          |like|got|have)\ (?:some\ |a\ little\ |a\ bit\ of\ |your\ )?(?:help|advice|assistance
          |input|feedback|ideas?|tips?|a\ hand)(?:\ (?:with|on|for|about|in|regarding))?
        | (?:i|we)(?:'d|'ve|\ would|\ have|\ had)?\ (?:really\ |just\ |urgently[ ]
          |also\ )?(?:need|want|like|keep\ getting)
        | (?P<mild>(?:i|we)(?:'ve|\ have)?\ (?:have|got|get))
        | (?:need|want|looking\ for|got|getting|having|seeking)(?:\ (?:some\ |a\ little[ ]
          |your\ )?(?:help|advice|input|feedback|tips?)(?:\ (?:with|on|for|about|in|regarding))?)?
        | (?:can|could|would|will)\ (?:you|u)\ (?:please\ |maybe\ |just\ |also[ ]
          |kindly\ )?(?:help|assist)\ (?:me|us)?(?:\ (?:with|on|out\ with|in))?
        | (?:help|assist)(?:\ (?:me|us))?(?:\ (?:with|on|out\ with|in|understanding))?
        | (?:tell|show|teach|give|send|write|draw|find|get|walk|talk|recommend|suggest|make
          |build|create|draft|prepare|design|plan|explain|describe)\ (?:me|us|him|her
          |them)(?:\ (?:about|through|to))?
        | (?:what|who|which|where|when)(?:'s|\ is|\ are|'re|\ was|\ were|\ would\ be|\ does|\ do
          |\ did|\ kind\ of|\ sort\ of)?(?:\ the\ (?:best|main|easiest|right)\ (?:way
          |ways))?(?:\ (?:of|for|to))?
        | how(?:'s|\ is|\ are|\ does|\ did|\ much|\ many|\ long|\ far|\ often|\ about)(?:\ (?:is
          |are|does|do|did))?
        | what(?:'s|\ is)\ your\ (?:opinion|take|view|advice)\ on | (?:any|got\ any)\ (?:ideas?
          |tips|advice|recommendations|suggestions|thoughts)(?:\ (?:on|for|about|how\ to))?
        | why(?:'s|\ is|\ are|\ does|\ do|\ did|\ was|\ were|\ would|\ won't|\ can't)?
        | is\ there(?:\ (?:a|any|some))?\ (?:good\ |easy\ |better\ |simple\ )?(?:way|possibility
          |chance|trick)?(?:\ (?:to|of|for))?
        | (?:is|are|was|were|does|did|has|have|will|would)\ (?:there\ )?(?=\S)
        | (?:do|should|can|could|must|may|shall|did)\ (?:i|we|you)\ (?:really\ |still\ |just[ ]
          |also\ |ever\ )?
        | (?:remember|note|remind\ me)(?:\ (?:that|of|to))?
        | is\ it\ (?:normal|okay|ok|safe|possible|true|worth|bad|better|good|common|allowed
          |legal|too\ late)(?:\ (?:that|to|for|if))?
        | let's\ (?:talk\ about|discuss|look\ at|start\ with)
        | what\ do\ you\ think\ (?:of|about)
        | i\ (?:was\ )?wonder(?:ing)?\ (?:if|how|what|whether|about) | i(?:'d|\ would)\ love
          | i\ (?:don't|do\ not|can't|cannot)\ (?:understand|get|figure\ out|know)
        )(?=[\s,.:;!?—-]|$)[\s,.:;!—-]*""",
    action=r"""(?x)(?:
          (?:how|where|when)\ (?:do|can|could|should|would|might|must)\ (?:i|we|you|one)(?:\ (?:best
            |actually|properly|go\ about))? | how\ (?:best\ )?to
        | (?:can|could|would|will)\ (?:you|u)\ (?:please\ |maybe\ |just\ |also\ |kindly[ ]
          |quickly\ )? | (?:please|pls|kindly)
        | (?:i|we)(?:'d|'ve|\ would|\ have|'m|\ am|'re|\ are|\ was|\ really|\ just|\ also
          |\ need)*\ (?:want|need|like|love|trying|try|plan|planning|hope|hoping|going|got
          |looking|have|had|wish|intend|supposed)\ (?:you\ )?to
        | (?:want|need|trying|try|have|would\ like|hoping|looking)\ to
        | (?:do|can|could|should|must|may|shall)\ (?:i|we|one)(?:\ (?:still|just|also|really))?
        | what\ (?:can|should|could|must|do)(?:\ (?:i|we|you))?(?:\ (?:still|need\ to
          |have\ to))? | (?:help|let)\ (?:me|us)(?:\ to)? | help
        | (?:what(?:'s|\ is)|is\ there)\ (?:a|the|any)\ (?:\w+\ )?way\ (?:to|of|for) | (?:show
          |tell|teach)\ (?:me|us)\ how\ to
        | (?:does|would|did)\ it\ make\ sense\ to
        | i(?:'m|\ am)\ not\ sure\ how\ to | i\ (?:don't|do\ not)\ know\ how\ to
          | any\ (?:ideas?|tips|advice)\ on\ how\ to
        )(?:\ +|(?<=\ ))""",
    dull=_set(
        """what how why compare make do get give write create plan design find build understand have
        prepare draft choose pick buy organize organise bring turn use know see check come
        put set figure look think talk learn deal work handle go explain describe tell show
        suggest recommend provide generate me getting having making doing writing finding
        using discuss list name up out into about at on for with together over through some
        any decide be start help need want like say produce develop compose craft"""
    ),
    articles=_set("the a an my our your some any his her their its this that these those another"),
    small=_set(
        """of in on at to for from with without by and or vs versus the a an my our your into
        onto about between under over after before as than via per is are was very really
        quite so too how what when where why which that this his her their its some any
        each every not no but if because during through against within across around up out
        off near toward towards using"""
    ),
    finite=_set(
        """is are was were has have had can could will would should do does did isn't aren't
        wasn't doesn't don't didn't can't cannot won't hasn't haven't keeps keep says said
        shows fails failed crashes crashed returns throws needs wants makes made takes took
        looks seems happens comes came gives gave goes went got gets holds contains
        supports broke broken died stopped joined told asked found hurts hurt lost began
        opens closes refuses stays became feels started must may might ends"""
    ),
    ends=_set(
        """that which who whose because since but so when if while although though where until
        unless please thanks i we you he she they i'm i'd i've we're we've it's there's
        yesterday today tomorrow tonight now currently lately recently anyway again asap
        instead preferably including etc here step"""
    ),
    pronouns=_set(
        """it it's there's i'm i'd i've that's this that them him her these those they he she
        one something everything anything"""
    ),
    vague=_set(
        """thing things something question questions problem problems issue issues help way
        ways idea ideas advice option options list checklist version example examples part
        stuff anything everything someone information info details tips opinion work task
        case answer text one lot bit error errors bug bugs code time day please news favor
        favour message hand good best sure everyone nothing here there first second next
        following"""
    ),
    tail=r"""(?xi)\s+(?:(?:this|next|last|every|coming)\ (?:week(?:end)?|month|year|time|morning
          |evening|night|summer|winter|spring|autumn|fall|quarter|(?:mon|tues|wednes|thurs|fri
          |satur|sun)day)
        | (?:on|by|until|before|since|from|for)\ (?:(?:next|this|last)\ )?(?:mon|tues|wednes
          |thurs|fri|satur|sun)day | at\ the\ moment | right\ now | for\ (?:me|us|now)
        | in\ (?:detail|general|total|advance|mind) | step\ by\ step | week\ by\ week
          | like\ i'm\ \w+ | a\ bit | as\ well | at\ all | of\ (?:mine|ours) | to\ me
        | please | thanks | ago | too | though )\b.*$""",
)

_GERMAN = _Language(
    known_by=_set(
        """der die das und ich ist mir mein wie kannst du eine einen ein für mit bei wir nicht
        zu bitte was auf"""
    ),
    lead=r"""(?x)(?:
          (?P<filler>(?:hallo|hi|hey|moin|servus|guten\ (?:tag|morgen|abend)
            |liebe[rs]?)(?:\ zusammen)?
          | (?:ok|also|und|aber|so|naja|bitte|danke|kurze\ frage|frage|mal|heute\ abend|heute
            |morgen|jetzt))
        | (?:kannst|könntest|würdest)\ du\ (?:mir|uns)?(?:\ (?:bitte|mal|kurz
          |vielleicht))*(?:\ (?:bei|mit|zu|über))?
        | (?:erklären|sagen|zeigen),?\ (?:wie|was|warum|wo|ob)
        | (?:können|könnten|würden)\ sie\ (?:mir|uns)?(?:\ (?:bitte|mal|kurz))*(?:\ (?:bei|mit
          |zu|über))?
        | (?:ich|wir)\ (?:brauche|suche|möchte|will|würde|hätte|bräuchte|muss|wollen|müssen
          |brauchen|suchen|möchten)(?:\ (?:gerne?|bitte|mal|mir|uns
          |dringend))*(?:\ hilfe)?(?:\ (?:bei|mit|zu|für))?
        | (?P<mild>ich\ habe|wir\ haben)(?:\ (?:eine\ frage|ein\ problem|probleme
          |fragen)(?:\ (?:zu|zum|zur|mit))?)?
        | (?:ich|wir)\ (?:plane|planen|schreibe|schreiben|lerne|lernen|baue|bauen|überlege
          |überlegen)
        | (?:brauche|suche)(?:\ hilfe)?(?:\ (?:bei|mit|zu|für))?
          | hilf\ mir(?:\ bitte)?(?:\ (?:bei|mit|beim))? | hilfe\ (?:bei|mit|beim)
        | wie\ (?:kann|könnte|muss|soll|sollte|mache|schreibe|bekomme|kriege|funktioniert|geht
          |viele?|lange)(?:\ (?:ich|man|wir|es|das))?(?:\ am\ besten)?
        | was\ (?:ist|sind|kann|muss|soll|bedeutet|heißt|kostet|hilft\ gegen|koche
          |mache)(?:\ (?:ich|man|wir))? | welche[rsnm]? | warum(?:\ (?:ist|sind|wird|kann))?
          | wieso
        | gibt\ es | (?:erkläre?|zeige?|schreibe?|gib|mach|sag|nenne|erstelle?
          |plane?)(?:\ (?:mir|uns))?(?:\ bitte)?
        )(?=[\s,.:;!?—-]|$)[\s,.:;!—-]*""",
    action=r"(?!)",
    dull=_set("bei mit zu über für am im beim zum zur von an auf in was wie mal etwas hilfe gerne"),
    articles=_set(
        """der die das den dem des ein eine einen einem einer eines mein meine meinen meinem
        meiner meines unser unsere unseren unserem unserer dein deine ihr ihre mir uns dich"""
    ),
    small=_set(
        """der die das den dem des ein eine einen einem einer mein meine meinen meinem meiner
        unsere unseren unserer und oder mit für von aus bei nach zu zum zur in im an am auf
        über unter vor gegen ohne durch um als wie so sehr nicht noch auch nur beim vom ins
        ans bis ab"""
    ),
    finite=_set(
        """ist sind war waren hat haben hatte kann können wird werden soll sollte muss müssen
        will geht tut macht läuft funktioniert startet zeigt sagt kommt fährt bleibt gibt"""
    ),
    ends=_set(
        """weil dass wenn aber damit obwohl ob denn bitte danke ich wir du sie er es heute
        morgen gestern jetzt gerade diese nächste letzte sondern"""
    ),
    pronouns=_set("es das dies diese dieser ihn ihm sie davon damit darauf dazu"),
    vague=_set(
        """frage fragen problem hilfe sache etwas idee ideen tipp tipps liste beispiel rat
        text info helfen zeit tag"""
    ),
    tail=(
        r"(?i)\s+(?:heute|morgen|gestern|(?:diese|nächste|letzte)[nrs]?\s+\w+|im\s+moment"
        r"|auf\s+einmal|bitte)\b.*$"
    ),
    dull_tail=_set(
        """helfen schreiben machen erklären geben zeigen erstellen sagen tun finden planen
        wissen haben formulieren verfassen"""
    ),
)

_OTHERS = _Language(
    known_by=_set(
        """le la les un une des je tu mon ma et est pour dans que qui du de el los las una mi
        por con para como cómo puedes quiero il lo gli di che per non sono come posso o os
        um uma eu meu minha não het een ik van en mijn hoe kan je voor niet hur jag min på
        och att med"""
    ),
    lead=r"""(?x)(?:
          (?P<filler>bonjour|salut|hola|buenos\ días|buenas(?:\ tardes)?|ciao|buongiorno|olá|oi
            |hallo|hoi|bom\ dia|coucou)
        | (?P<mild>j'ai|tengo|ho|tenho|ik\ heb) | (?:s'il\ (?:te|vous)\ plaît|stp|svp|por\ favor
          |per\ favore|alsjeblieft)
        | (?:peux|pourrais)[- ]tu\ (?:m')?(?:aider\ (?:à|avec)\ |expliquer\ )? | (?:pouvez
          |pourriez)[- ]vous\ (?:m')?(?:aider\ (?:à|avec)\ |expliquer\ )?
        | (?:aide|aidez)[- ]moi\ (?:à|avec) | j'ai\ besoin\ (?:d'aide\ (?:pour|avec)|de|d')
          | je\ (?:voudrais|veux|cherche|dois|souhaite) | comment(?:\ (?:faire(?:\ pour)?
          |est-ce\ que\ je\ peux|puis-je))?
        | (?:quels?|quelles?)\ (?:est|sont) | qu'est-ce\ que | est-ce\ que | pourquoi | (?:écris
          |donne|explique|fais)[- ]moi
        | [¿¡]?(?:puedes|podrías|puede|podría)\ (?:ayudarme\ (?:con|a)|explicarme|decirme
          |darme)? | (?:necesito|quiero|quisiera|busco)(?:\ ayuda\ (?:con|para))?
          | ayúdame\ (?:a|con)
        | [¿¡]?(?:cómo|como)(?:\ (?:puedo|hago\ para|se))? | [¿¡]?(?:qué|cuál|cuáles)\ (?:es
          |son) | [¿¡]?por\ qué | (?:escríbeme|dame|explícame|hazme)
        | (?:puoi|potresti)\ (?:aiutarmi\ (?:con|a)|spiegarmi|dirmi)? | (?:vorrei|voglio|cerco
          |ho\ bisogno\ di)(?:\ aiuto\ (?:con|per))? | come\ (?:posso|si|faccio\ a)?
          | (?:qual\ è|quali\ sono|cos'è|perché)
        | (?:você\ pode|pode|poderia)\ (?:me\ )?(?:ajudar\ (?:com|a)|explicar)?
          | (?:preciso(?:\ de)?|quero|gostaria\ de)(?:\ ajuda\ (?:com|para))? | (?:qual\ é
          |quais\ são|por\ que)
        | (?:kun|kan|zou)\ (?:je|jij|u)\ (?:me\ |mij\ )?(?:helpen\ (?:met|bij))? | hoe\ (?:kan
          |moet|maak|doe)\ ik | ik\ (?:wil|zoek|heb\ hulp\ nodig\ (?:met|bij)|moet) | wat\ (?:is
          |zijn) | waarom
        | hur\ (?:kan|ska|gör|lagar|får)\ (?:jag|man|vi) | (?:kan
          |skulle)\ du\ (?:kunna\ )?(?:hjälpa\ mig\ (?:med|att))? | vad\ är
        )(?:(?=[\s,.:;!?¿¡—-]|$)|(?<=['\s]))[\s,.:;!¿¡—-]*""",
    action=r"(?!)",
    dull=_set(
        """à a de da do di d' faire écrire rédiger trouver planifier créer préparer organiser
        hacer escribir encontrar planear crear preparar organizar aprender redactar montar
        organizzare fare scrivere trovare pianificare fazer escrever criar planejar
        schrijven maken plannen met bij over con per para"""
    ),
    articles=_set(
        """le la les l' un une des du mon ma mes notre nos el los las una mi mis nuestro
        nuestra il lo gli i uno mio mia nostro o os as um uma meu minha nosso het een mijn
        onze"""
    ),
    small=_set(
        """le la les un une des du de d' à au aux et ou en dans sur pour par avec sans chez
        mon ma mes el los las una mi mis y o con para por del al sin il lo gli uno di da
        per e nel nella con su på av till för med i och att min mitt os as um uma do da no
        na em meu minha het een van voor met en of op in te naar mijn que che"""
    ),
    finite=_set(
        """est sont ont es son está están ha han è sono hanno é são is zijn heeft wordt werkt
        ne no não non niet"""
    ),
    ends=_set(
        """parce car mais quand si je nous vous tu porque pero cuando yo nosotros perché ma
        quando se io porém mas eu omdat maar als ik we aujourd'hui demain hier hoy mañana
        ayer oggi domani"""
    ),
    pronouns=_set("ça cela celui esto eso questo isso isto dit dat"),
    vague=_set(
        """question problème aide chose idée pregunta problema ayuda cosa idea domanda aiuto
        pergunta ajuda vraag probleem hulp"""
    ),
    tail=r"(?i)\s+(?:s'il\s+(?:te|vous)\s+plaît|por\s+favor|per\s+favore|alsjeblieft)\b.*$",
)  # fmt: skip

_SHORT = re.compile(r"(?<![\w'])[Ii](m|ve)(?![\w'])")
_URL = re.compile(r"https?://(?:www\.)?([\w.-]+)\S*")
_BOUNDARY = re.compile(
    r"(?<!\w)\d{1,2}\)|[,;.?!…]+(?=\s|$)|\s+[–—-]+\s+|\s*—\s*|:(?=\s|$)|[()\[\]{}]|(?<=\w)/\s"
    r"|\s/(?=\s)|[\"“”„«»]"
)
_QUOTES = "\"'“„«‘"
_EDGE = "\"'`“”„‚‘’«»‹›「」『』()[]{}*_~.,:;!?…—–- \t"
_PARTICLES = _set("on off up out down in")
_IMPERATIVES = _set(
    """summarize summarise rewrite rephrase compare fix translate review proofread analyze
    analyse refactor optimize optimise debug convert improve check test shorten simplify
    edit correct solve calculate count classify sort merge replace update install configure
    migrate"""
)
_BASE_VERBS = _set(
    """come keep fail crash get go work take feel look need hurt smell taste stop break cost
    return throw show say run turn make lose bark cry sleep leak freeze hang restart sound
    rise shake change"""
)
_LIST = re.compile(r"\w+(?:, \w+)+,? (?:and|or|und|oder|et|ou|y|o|e|en|och)\b")
_COMMA = "\ue000"
_AND = _set("and und et y e en")
_HOLDING = _set("holds contains has supports gives makes needs takes shows returns throws causes")
_ASKED_FOR = re.compile(
    r"(?i)^(?:how (?:many|much)|what|which) ((?:(?!is|are|was|were|to)[\w-]+ ){1,4}?)"
    r"(?:can|should|could|do|does|did|must|would|will) (?:i|we|you) (?:\w+ )(?=\w|$)"
)
_PEOPLE = _set("me us him her them you mir uns ihm ihr ihnen")
_DOUBLED = _set(
    """set get put run stop plan cut debug map split swap log ship drop scan trim chat swim
    begin commit submit refer shut quit hit let sit dig rip tag wrap skip spin step pin ban
    beg"""
)


def phrase(sentence: str) -> tuple[str, float]:
    """What a sentence is about, in at most six words, and how well that went (0 or less: badly)."""
    sentence = _URL.sub(r"\1", sentence[:_READ].replace("’", "'")).strip()
    if CJK.search(sentence):
        return _cjk_phrase(sentence)
    sentence = _SHORT.sub(lambda said: "I'" + said[1].lower(), sentence)
    sentence = re.sub(r"(?<= )u(?= )", "you", sentence)
    if sentence.isupper() and len(sentence.split()) > 3:
        sentence = sentence.lower()
    language = _language(sentence)
    tries = [_of_clause(sentence, language)]
    head, colon, rest = sentence.partition(": ")
    if colon and rest and "http" not in head and rest[0] not in _QUOTES:
        after, worth = _of_clause(rest, language)
        asked = _without_lead(head.strip(_EDGE), language)[1]
        tries.append((after, worth + max(asked, 0.8) + (0.6 if len(head) > 12 else 0)))
    return max(tries, key=lambda t: t[1])


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """Compiled when it is first needed: it takes 10 ms for a language."""
    return re.compile(text)


def _language(sentence: str) -> _Language:
    words = {w.strip(_EDGE) for w in sentence.lower().split()}
    return max((_ENGLISH, _GERMAN, _OTHERS), key=lambda one: len(words & one.known_by))


def _of_clause(clause: str, language: _Language) -> tuple[str, float]:
    clause = clause.strip(_EDGE)
    if language is _ENGLISH:  # "what camera should I buy for …": the camera for …
        clause = _ASKED_FOR.sub(r"what is the \1", clause)
    rest, worth, is_action = _without_lead(clause, language)
    if language is _ENGLISH:
        first = rest.split(" ", 1)[0].lower()
        if first in ("what", "how", "why", "when", "who") and worth:
            rest = rest[len(first) :].lstrip()
        if first in _IMPERATIVES:
            worth, is_action = 2.0, True
        elif " why do" in f" {clause.lower()}":
            rest = _symptom(rest)
    rest = _pattern(language.tail).sub("", rest)
    if not worth and rest.split(" ", 1)[0].lower().endswith("ing") and language is _ENGLISH:
        worth = 1.2  # "Moving from Austin to Denver" is as good as a title
    words, is_statement = _phrase_words(rest, language, is_action=is_action, is_asked=worth > 1)
    begins = words[:1]
    words = _fitted(words, language, keep_articles=is_statement)
    content = [w for w in words if w.lower() not in language.small and not w.isdigit()]
    if not content or all(
        w.lower() in language.vague or w.lower() in language.dull for w in content
    ):
        return "", -9
    if is_statement:
        worth -= 0.5
    words = [w.replace(_COMMA, ",") for w in words]
    points = language.pronouns.intersection(w.lower() for w in [*begins, *words])
    worth += min(len(content), 3) * 0.8 - 2.0 * bool(points)
    worth -= 1.5 * (len(content) == 1 and len(content[0]) < 12) + (
        content[0].lower() in language.vague
    )
    return _capitalized(" ".join(words)), worth


def _without_lead(text: str, language: _Language) -> tuple[str, float, bool]:
    """The text without what a request begins with; is it a request, and does a verb follow?"""
    asked = 0.0
    is_action = False
    for _ in range(8):
        lower = text.lower()
        if found := _pattern(language.action).match(lower):
            is_action, asked = True, 2.0
        elif found := _pattern(language.lead).match(lower):
            is_action = False
            asked = max(asked, 0.0 if found["filler"] else 0.5 if found["mild"] else 2.0)
        else:
            break
        if not text[found.end() :].strip(_EDGE):
            return ("" if asked == 0 else text), asked, is_action
        text = text[found.end() :]
    return text, asked, is_action


def _phrase_words(
    text: str, language: _Language, *, is_action: bool, is_asked: bool
) -> tuple[list[str], bool]:
    """The words up to where the phrase ends, and is it a statement with its verb?"""
    text = _LIST.sub(lambda listed: listed[0].replace(",", _COMMA), text)
    clause = next((c for c in _BOUNDARY.split(text) if any(map(str.isalpha, c))), "")
    words = [w for w in (w.strip(_EDGE.replace("'", "")) for w in clause.split()) if w]
    action = ""
    if is_action or (words and words[0].lower().endswith("ing")):
        action, words = _action(words, language)
    dull = language.articles | _PEOPLE if action else language.articles | language.dull | _PEOPLE
    while words and words[0].lower() in dull:
        words = words[1:]
    found: list[str] = []
    is_statement = False
    for index, word in enumerate(words):
        lower = word.lower()
        if lower in language.ends and found:
            break
        if is_asked and len(found) == 1 and index + 1 < len(words):
            if lower in _HOLDING:  # "which component holds the bucket": about the bucket
                found = []
                continue
            if lower in ("is", "are") and words[index + 1].lower() in language.small:
                continue  # "what a closure is in JavaScript"
        if lower in language.finite and not is_statement:
            if len(found) > 2 or (found and is_asked):
                break
            is_statement = bool(found)
            if not found:
                continue
        after = words[index + 1].lower() if index + 1 < len(words) else ""
        if lower in _AND and after in language.ends | language.finite:
            break
        found.append(word)
    if action and found:
        found.insert(0, action)
    if language.dull_tail and len(found) > 1 and found[-1].lower() in language.dull_tail:
        found.pop()
    return found, is_statement


def _symptom(rest: str) -> str:
    """ "my bread come out so dense", after "why does": with the verb as in "coming out"."""
    words = rest.split()
    for index, word in enumerate(words[1:4], 1):
        if word.lower().strip(_EDGE) in _BASE_VERBS:
            words[index] = _gerund(word.lower().strip(_EDGE))
            break
    return " ".join(w for w in words if w != "so")


def _action(words: list[str], language: _Language) -> tuple[str, list[str]]:
    """The verb that follows a request, as a noun, unless it says nothing by itself."""
    while words and (
        words[0].lower().endswith("ly") or words[0].lower() in ("best", "still", "to")
    ):
        words = words[1:]
    if not words or words[0].lower() in language.dull or words[0].lower() in language.articles:
        how = next((i for i in range(1, min(3, len(words) - 3)) if words[i].lower() == "how"), 0)
        if how and words[how + 1].lower() == "to":  # "figure out how to train"
            return _action(words[how + 2 :], language)
        return "", words
    verb = words[0].lower()
    if not verb.isalpha() or not words[1:]:
        return "", words
    noun = verb if verb.endswith("ing") else _gerund(verb)
    if words[1].lower() in ("to", "into", "from"):
        noun = noun.removesuffix(" of")
    return noun, words[1:]


_NOUNS = {"review": "review of", "translate": "translation of",
          "summarize": "summary of", "summarise": "summary of", "proofread": "proofreading",
          "analyze": "analysis of", "analyse": "analysis of", "lie": "lying"}  # fmt: skip


def _gerund(verb: str) -> str:
    if verb in _NOUNS:
        return _NOUNS[verb]
    if verb in _DOUBLED:
        return verb + verb[-1] + "ing"
    if verb.endswith("e") and not verb.endswith(("ee", "ye", "oe")):
        return verb[:-1] + "ing"
    return verb + "ing"


def _fitted(words: Sequence[str], language: _Language, *, keep_articles: bool = False) -> list[str]:
    """At most six words and 60 characters, and no word at the end that another must follow."""
    kept = [w for part in words for w in part.split()]
    inner = language.articles
    if len(kept) > WORDS and not keep_articles and language is _ENGLISH:
        kept = kept[:1] + [w for w in kept[1:] if w.lower() not in inner]
    if len(kept) > WORDS or len(" ".join(kept)) > LONGEST:
        cut = kept[:WORDS]
        while len(" ".join(cut)) > LONGEST and len(cut) > 1:
            cut.pop()
        follows = kept[len(cut)].lower() if len(cut) < len(kept) else ""
        if (
            follows and follows not in language.small
        ):  # cut within a group of words: back to its beginning
            starts = [i for i, w in enumerate(cut) if i >= 2 and w.lower() in language.small]
            if starts and starts[-1] >= 2:
                cut = cut[: starts[-1]]
        kept = cut
    trailing = language.small | language.articles | language.pronouns | _PEOPLE
    trailing -= _PARTICLES if keep_articles else frozenset()
    while kept and kept[-1].lower() in trailing:
        kept.pop()
    while kept and kept[0].lower() in language.articles | language.small:
        kept = kept[1:]
    return kept


def _capitalized(text: str) -> str:
    first = text.split(" ", 1)[0]
    if first.replace("-", "").replace("'", "").isalpha() and first.islower():
        return text[0].upper() + text[1:]
    return text


# --- languages without spaces --------------------------------------------------------------------

_CJK_CLAUSE = re.compile(r"[、。，！？!?；;：:\n]|(?<=が)(?=、)|\.\s|,(?!\d)")
_JA_TAIL = re.compile(
    r"""(?x)(?:
      (?:を|について|に関して|の?(?:やり方|方法|仕方)を?)?
      (?:教えて|説明して|紹介して|考えて|作って|書いて|手伝って|見て|直して|翻訳して|要約して)
      (?:ください|下さい|(?:いただけ|くれ|もらえ)(?:ます|ません)か|(?:ほしい|欲しい)(?:です)?|くれ)?
    | (?:を|が|に|は|で)?(?:したい|やりたい|作りたい|知りたい|行きたい|始めたい)
      (?:の|ん)?(?:です)?(?:が|けど|けれど)?
    | を[一-鿿]{1,2}[いりきみしちびぎ]?たい(?:の|ん)?です(?:が|けど|けれど)?
    | (?:たい|頼みたい)(?:の|ん)?です(?:が|けど)?
    | (?:は|って|とは)?(?:何|なに|なん)(?:です|でしょう)?か?
    | (?:は|を|が)?どう(?:すれば|したら|やって|やれば)(?:いい|良い|よい)?
      (?:の|ん)?(?:です|でしょう)?か?
    | (?:の|ん)?(?:です|でしょう|ます|ました|ません)(?:か|が|けど|よ|ね|よね)?
    | (?:して|になって|なって)?(?:しまいます|しまいました|います|いました)(?:が|けど)?
    | (?:します|しました|できます|できません|になります|は?があります|はあります)(?:か|が|けど)?
    | (?:お願い(?:し|いたし)ます|ください|下さい)
    | を?一緒に | のですが | んですが | けど | か | を | が | は | に | で | と | も | の
    | から | ので | よ | ね
    )$"""
)
_JA_HEAD = re.compile(
    r"""(?x)^(?:すみません|こんにちは|はじめまして|ちょっと|あの|えっと|実は|今度|でも|そして|では|じゃあ
    |次に|また)+[、,]?"""
)
_ZH_HEAD = re.compile(
    r"""(?x)^(?:你好|您好|请问|请|麻烦|能不能|可以|能否|可不可以|帮我|帮忙|帮|给我|我想(?:要|知道|问一下|了解)?
    |我要|我需要|如何|怎么(?:样|才能)?|怎样|什么是|为什么|写一[个篇封份段]|推荐(?:一下|几[个本部家])?|一下
    |介绍一?下?|解释一?下?)+"""
)
_ZH_TAIL = re.compile(r"(?:怎么办|怎么做|是什么(?:意思)?|好吗|可以吗|吗|呢|吧|了|的)+$")
_KO_TAIL = re.compile(
    r"""(?x)(?:
      \s*(?:을|를|이|가|은|는|에\s*대해(?:서)?|좀)?\s*
      (?:알려|설명해|추천해|도와|만들어|써|작성해|번역해|가르쳐)\s*(?:주세요|줘|주실\s*수\s*있나요|줄래)
    | \s*어떻게\s*(?:하나요|해야\s*(?:하나요|할까요)|해요|하죠) | \s*(?:뭐|무엇)(?:예요|인가요|죠)
    | (?:인가요|나요|까요|습니다|입니다|어요|해요)
    )$"""
)
_CONTENT_CJK = re.compile(r"[一-鿿゠-ヿA-Za-z0-9가-힯฀-๿]")
_VAGUE_CJK = re.compile(
    r"^(?:.{0,10}?(?:質問|相談|お願い)|どうすればいい|なぜ|いい|一个问题|问题|질문|日本語|英語)$"
)


def _cjk_phrase(sentence: str) -> tuple[str, float]:
    """The clause that says most, without what makes it polite."""
    best, worth = "", -9.0
    for index, clause in enumerate(c.strip(_EDGE + "。、") for c in _CJK_CLAUSE.split(sentence)):
        short = _without_politeness(clause)
        content = len(_CONTENT_CJK.findall(short))
        if content < 3 or _VAGUE_CJK.match(short):
            continue
        value = min(content, 14) * 0.2 - index * 0.3 - (len(short) > 30)
        if short != clause:
            value += 0.5
        if value > worth:
            best, worth = short, value
    return best[:LONGEST] if len(best) <= 30 else _cut_cjk(best), worth


def _without_politeness(clause: str) -> str:
    clause = _JA_HEAD.sub("", clause)
    if "\uac00" <= clause[:1] <= "\ud7a3":
        for _ in range(2):
            clause = _KO_TAIL.sub("", clause).strip()
        return clause
    if not re.search("[\u3041-\u30ff]", clause):
        return _ZH_TAIL.sub("", _ZH_HEAD.sub("", clause)).strip()
    for _ in range(6):
        shorter = _JA_TAIL.sub("", clause)
        if shorter == clause or len(shorter) < 3:
            break
        clause = shorter
    return clause.strip(_EDGE)


def _cut_cjk(text: str) -> str:
    """The end of a long clause, behind a particle: there stands what it is about."""
    places = [m.end() for m in re.finditer("[はがをにでと的、 ]", text[:-6])]
    for place in places:
        if len(text) - place <= 30:
            return text[place:]
    return text[:30]
