"""Every text a buyer may read, in Kazakh, Russian and English: no code, no internals, no blame."""

from sandbox.core.texts import Language

NAMES: dict[Language, str] = {"kk": "Қазақша", "ru": "Русский", "en": "English"}

MESSAGES: dict[str, dict[Language, str]] = {
    "waiting": {
        "kk": "Төлемді күтіп тұрмыз.",
        "ru": "Ждём оплату.",
        "en": "Waiting for your payment.",
    },
    "confirming": {
        "kk": "Төлем келді, желі оны растап жатыр. Қайта төлемеңіз.",
        "ru": "Платёж получен, сеть его подтверждает. Не платите второй раз.",
        "en": "Your payment arrived and the network is confirming it. Do not pay again.",
    },
    "partial": {
        "kk": "Соманың бір бөлігі келді. Қалғанын төлеңіз.",
        "ru": "Пришла часть суммы. Доплатите остаток.",
        "en": "Part of the amount arrived. Please pay the rest.",
    },
    "reverted": {
        "kk": "Желі төлемді кері қайтарды. Ол қайта келуі мүмкін: бір минут күтіңіз.",
        "ru": "Сеть отменила платёж. Он может вернуться: подождите минуту.",
        "en": "The network took the payment back. It may return: please wait a minute.",
    },
    "paid": {
        "kk": "Төленді. Рақмет!",
        "ru": "Оплачено. Спасибо!",
        "en": "Paid. Thank you!",
    },
    "overpaid": {
        "kk": "Төленді. Артық келген сома сақталды: қайтару үшін сатушыға хабарласыңыз.",
        "ru": "Оплачено. Лишняя сумма сохранена: для возврата обратитесь к продавцу.",
        "en": "Paid. The extra amount is safe: ask the seller to return it.",
    },
    "duplicate": {
        "kk": "Төленді. Екінші төлем сақталды: қайтару үшін сатушыға хабарласыңыз.",
        "ru": "Оплачено. Второй платёж сохранён: для возврата обратитесь к продавцу.",
        "en": "Paid. Your second payment is safe: ask the seller to return it.",
    },
    "expired": {
        "kk": "Төлем уақыты бітті. Ақша жібермеңіз, сатушыдан жаңа шот сұраңыз.",
        "ru": "Время оплаты истекло. Не отправляйте деньги, попросите у продавца новый счёт.",
        "en": "The time to pay is over. Do not send money; ask the seller for a new bill.",
    },
    "late": {
        "kk": "Төлем кеш келді. Ақша сақталды: сатушы оны қабылдайды немесе қайтарады.",
        "ru": "Платёж пришёл поздно. Деньги сохранены: продавец примет или вернёт их.",
        "en": "The payment came late. The money is safe: the seller will accept or return it.",
    },
    "short": {
        "kk": "Уақыт бітті, соманың бір бөлігі ғана келді. Ақша сақталды: сатушыға хабарласыңыз.",
        "ru": "Время истекло, пришла только часть суммы. Деньги сохранены: обратитесь к продавцу.",
        "en": "Time is over and only part arrived. The money is safe: contact the seller.",
    },
    "canceled": {
        "kk": "Сатушы шотты тоқтатты. Ақша жібермеңіз.",
        "ru": "Продавец отменил счёт. Не отправляйте деньги.",
        "en": "The seller canceled this bill. Do not send money.",
    },
    "canceled_paid": {
        "kk": "Сатушы шотты тоқтатқан. Ақша сақталды: қайтару үшін сатушыға хабарласыңыз.",
        "ru": "Продавец отменил счёт. Деньги сохранены: для возврата обратитесь к продавцу.",
        "en": "The seller had canceled this bill. The money is safe: ask the seller to return it.",
    },
    "not_found": {
        "kk": "Мұндай шот жоқ. Сілтемені тексеріңіз.",
        "ru": "Такого счёта нет. Проверьте ссылку.",
        "en": "There is no such bill. Please check the link.",
    },
}

WORDS: dict[str, dict[Language, str]] = {
    "title": {"kk": "Төлем", "ru": "Оплата", "en": "Payment"},
    "to": {"kk": "Сатушы", "ru": "Продавец", "en": "Seller"},
    "amount": {"kk": "Төлейтін сома", "ru": "К оплате", "en": "To pay"},
    "total": {"kk": "Шот сомасы", "ru": "Сумма счёта", "en": "Bill"},
    "left": {"kk": "Қалғаны", "ru": "Осталось оплатить", "en": "Left to pay"},
    "received": {"kk": "Келіп түсті", "ru": "Получено", "en": "Received"},
    "how": {"kk": "Қалай төлеу керек", "ru": "Как оплатить", "en": "How to pay"},
    "network": {"kk": "Желі", "ru": "Сеть", "en": "Network"},
    "address": {"kk": "Алушы мекенжайы", "ru": "Адрес получателя", "en": "Recipient address"},
    "memo": {"kk": "Түсініктеме (memo)", "ru": "Комментарий (memo)", "en": "Memo"},
    "reference": {
        "kk": "Төлем белгісі (reference)",
        "ru": "Метка платежа (reference)",
        "en": "Reference",
    },
    "mint": {"kk": "Токен (mint)", "ru": "Токен (mint)", "en": "Token (mint)"},
    "token": {"kk": "Токен келісімшарты", "ru": "Контракт токена", "en": "Token contract"},
    "open": {"kk": "Әмиянда ашу", "ru": "Открыть в кошельке", "en": "Open in wallet"},
    "open_sponsored": {
        "kk": "Комиссияға тиын жоқ па? Осы жерден ашыңыз: оны біз төлейміз",
        "ru": "Нечем платить комиссию? Откройте здесь: её заплатим мы",
        "en": "No coin for the fee? Open it here: we pay that",
    },
    "scan": {
        "kk": "Әмиянмен сканерлеңіз",
        "ru": "Отсканируйте кошельком",
        "en": "Scan with your wallet",
    },
    "by_hand": {
        "kk": "Немесе қолмен жіберіңіз",
        "ru": "Или отправьте вручную",
        "en": "Or send it by hand",
    },
    "chain_id": {
        "kk": "Желі нөмірі (chain ID)",
        "ru": "Номер сети (chain ID)",
        "en": "Chain ID",
    },
    "address_qr": {
        "kk": "Тек мекенжайдың QR-коды",
        "ru": "QR-код только с адресом",
        "en": "QR code of the address alone",
    },
    "exactly_address": {
        "kk": "Дәл осы соманы осы желіде алушы мекенжайына жіберіңіз. "
        "Токен келісімшартының мекенжайына жібермеңіз.",
        "ru": "Отправьте ровно эту сумму в этой сети на адрес получателя. "
        "Не отправляйте на адрес контракта токена.",
        "en": "Send exactly this amount on this network to the recipient address, "
        "never to the address of the token contract.",
    },
    "exactly_memo": {
        "kk": "Дәл осы соманы осы желіде жіберіңіз және memo мәтінін қосыңыз, "
        "әйтпесе төлем танылмайды.",
        "ru": "Отправьте ровно эту сумму в этой сети и укажите memo, "
        "иначе платёж не удастся узнать.",
        "en": "Send exactly this amount on this network and include the memo, "
        "or the payment cannot be recognised.",
    },
    "qr": {
        "kk": "QR-код: {merchant} сатушысына {amount}, {network} желісі",
        "ru": "QR-код: {amount} продавцу {merchant}, сеть {network}",
        "en": "QR code: {amount} to {merchant} on {network}",
    },
    "time_left": {"kk": "Қалған уақыт", "ru": "Осталось времени", "en": "Time left"},
    "until": {
        "kk": "{time} дейін (Алматы уақыты)",
        "ru": "до {time} (время Алматы)",
        "en": "until {time} (Almaty time)",
    },
    "copy_it": {"kk": "Көшіру", "ru": "Копировать", "en": "Copy"},
    "copied": {"kk": "Көшірілді", "ru": "Скопировано", "en": "Copied"},
    "language": {"kk": "Тіл", "ru": "Язык", "en": "Language"},
    "sandbox": {
        "kk": "Сынақ ортасы: мұнда нағыз ақша жоқ.",
        "ru": "Тестовая среда: настоящих денег здесь нет.",
        "en": "A sandbox: no real money is here.",
    },
    "panel": {
        "kk": "Сынақ тақтасы",
        "ru": "Тестовая панель",
        "en": "Test panel",
    },
    "panel_note": {
        "kk": "Тек сынақ ортасында: ойдан шығарылған төлеуші шотты таңдалған желіде төлейді.",
        "ru": "Только в тестовой среде: вымышленный плательщик оплатит счёт в выбранной сети.",
        "en": "In the sandbox only: a simulated payer pays this bill on the chosen network.",
    },
    "by_amount": {
        "kk": "Сома қалай десе",
        "ru": "Как говорит сумма",
        "en": "As the amount says",
    },
    "transaction": {"kk": "Транзакция", "ru": "Транзакция", "en": "Transaction"},
}


WALLET: dict[str, dict[Language, str]] = {
    "pay": {
        "kk": "Браузердегі әмиянмен төлеу",
        "ru": "Оплатить кошельком в браузере",
        "en": "Pay with browser wallet",
    },
    "pay_with": {
        "kk": "{wallet} арқылы төлеу",
        "ru": "Оплатить через {wallet}",
        "en": "Pay with {wallet}",
    },
    "asking": {
        "kk": "Әмиянды ашып, төлемді сонда растаңыз.",
        "ru": "Откройте кошелёк и подтвердите оплату в нём.",
        "en": "Open your wallet and confirm the payment there.",
    },
    "sent": {
        "kk": "Төлем жіберілді. Желі растағанша күтіңіз, қайта төлемеңіз.",
        "ru": "Платёж отправлен. Подождите, пока сеть его подтвердит, и не платите второй раз.",
        "en": "Your payment was sent. Wait for the network to confirm it and do not pay again.",
    },
    "rejected": {
        "kk": "Сіз әмиянда бас тарттыңыз. Ештеңе жіберілген жоқ.",
        "ru": "Вы отказались в кошельке. Ничего не отправлено.",
        "en": "You declined in the wallet. Nothing was sent.",
    },
    "busy": {
        "kk": "Әмиян бұрынғы сұраққа жауап күтіп тұр: оны ашып, жауап беріңіз.",
        "ru": "Кошелёк ждёт ответа на прошлый вопрос: откройте его и ответьте.",
        "en": "The wallet is still waiting for an answer: open it and answer there.",
    },
    "locked": {
        "kk": "Әмиян шотын көрсетпеді. Құлпын ашып, қайталап көріңіз. Ештеңе жіберілген жоқ.",
        "ru": "Кошелёк не открыл счёт. Разблокируйте его и попробуйте снова. Ничего не отправлено.",
        "en": "The wallet showed no account. Unlock it and try again. Nothing was sent.",
    },
    "offline": {
        "kk": "Әмиян желіге қосылмаған. Ештеңе жіберілген жоқ, кейінірек қайталаңыз.",
        "ru": "Кошелёк не подключён к сети. Ничего не отправлено, попробуйте позже.",
        "en": "The wallet is not connected to the network. Nothing was sent; try again later.",
    },
    "network": {
        "kk": "Әмиян басқа желіде. Әмиянда {network} желісін (chain ID {chain_id}) таңдап, "
        "қайталаңыз. Ештеңе жіберілген жоқ.",
        "ru": "Кошелёк в другой сети. Выберите в нём сеть {network} (chain ID {chain_id}) "
        "и попробуйте снова. Ничего не отправлено.",
        "en": "The wallet is on another network. Choose {network} (chain ID {chain_id}) in it "
        "and try again. Nothing was sent.",
    },
    "short": {
        "kk": "Бұл әмиянда KZTE жеткіліксіз. Ештеңе жіберілген жоқ.",
        "ru": "В этом кошельке не хватает KZTE. Ничего не отправлено.",
        "en": "There is not enough KZTE in this wallet. Nothing was sent.",
    },
    "changed": {
        "kk": "Шот өзгерді. Ештеңе жіберілген жоқ: соманы қарап, қайта басыңыз.",
        "ru": "Счёт изменился. Ничего не отправлено: проверьте сумму и нажмите снова.",
        "en": "The bill has changed. Nothing was sent: look at the amount and press again.",
    },
    "error": {
        "kk": "Болмады. Ештеңе жіберілген жоқ. Қайталаңыз немесе басқаша төлеңіз.",
        "ru": "Не получилось. Ничего не отправлено. Повторите или оплатите иначе.",
        "en": "That did not work. Nothing was sent. Try again or pay another way.",
    },
    "unknown": {
        "kk": "Әмиян қате туралы хабарлады. Әмиянды қараңыз: төлем онда болса, күтіңіз; "
        "болмаса, қайталаңыз.",
        "ru": "Кошелёк сообщил об ошибке. Посмотрите в нём: если платёж там есть, подождите; "
        "если нет, повторите.",
        "en": "The wallet reported an error. Look into it: if the payment is there, wait; "
        "if not, try again.",
    },
    "reverted": {
        "kk": "Желі транзакцияны қабылдамады, ақша жіберілген жоқ. Қайталап көріңіз.",
        "ru": "Сеть отклонила транзакцию, деньги не ушли. Попробуйте снова.",
        "en": "The network refused the transaction and no money was sent. Please try again.",
    },
}
"""What the script says of a wallet in the browser (EIP-1193); `{…}` is filled in there."""


def wallet(language: Language) -> dict[str, str]:
    """What is said of browser wallets, in one language."""
    return {key: text[language] for key, text in WALLET.items()}


def words(language: Language) -> dict[str, str]:
    """The words of one language."""
    return {key: text[language] for key, text in WORDS.items()}
