"""The operators of queries, expressions and updates that are understood; any other makes a command unclear.

https://www.mongodb.com/docs/manual/reference/operator/. An operator that is not here may do what nobody
looked for, as ``$function`` did when it came: it is added after it was read about, never before.
"""

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(f"${word}" for word in text.split())


LOGIC: Final = _words("and or nor")
# Of a field, with nothing but data behind them.
COMPARISONS: Final = _words(
    """
    eq ne gt gte lt lte in nin exists type mod regex options size bitsAllClear bitsAllSet bitsAnyClear
    bitsAnySet geoWithin geoIntersects near nearSphere maxDistance minDistance within uniqueDocs
    """
)
# JavaScript, which a server runs inside itself.
CODE: Final = _words("where function accumulator")
EXPRESSIONS: Final = _words(
    """
    abs acos acosh add addToSet allElementsTrue and anyElementTrue arrayElemAt arrayToObject asin asinh atan
    atan2 atanh avg binarySize bitAnd bitNot bitOr bitXor bottom bottomN bsonSize ceil cmp concat concatArrays
    cond convert cos cosh count covariancePop covarianceSamp dateAdd dateDiff dateFromParts dateFromString
    dateSubtract dateToParts dateToString dateTrunc dayOfMonth dayOfWeek dayOfYear degreesToRadians denseRank
    derivative divide documentNumber eq exp expMovingAvg filter first firstN floor gt gte hour ifNull in
    indexOfArray indexOfBytes indexOfCP integral isArray isNumber isoDayOfWeek isoWeek isoWeekYear last lastN
    let linearFill ln locf log log10 lt lte ltrim map max maxN median mergeObjects millisecond min minN minute
    mod month multiply ne not objectToArray or percentile pow push radiansToDegrees rand range rank reduce
    regexFind regexFindAll regexMatch replaceAll replaceOne reverseArray round rtrim sampleRate second
    setDifference setEquals setField setIntersection setIsSubset setUnion shift sin sinh size slice sortArray
    split sqrt stdDevPop stdDevSamp strLenBytes strLenCP strcasecmp substr substrBytes substrCP subtract sum
    switch tan tanh toBool toDate toDecimal toDouble toHashedIndexKey toInt toLong toLower toObjectId toString
    toUpper toUUID top topN trim trunc tsIncrement tsSecond type unsetField week year zip minMaxScaler
    """
)
UPDATES: Final = _words(
    "set unset inc mul min max rename setOnInsert currentDate push addToSet pop pull pullAll pushAll bit"
)
ROOTS: Final = frozenset({"ROOT", "CURRENT"})
# Words of ``$meta`` that tell no value of a field; ``indexKey`` shows what stands in an index.
SCORES: Final = frozenset({"textScore", "searchScore", "vectorSearchScore", "recordId", "randVal"})
# Expressions whose ``sortBy`` names fields.
ORDERED: Final = _words("top topN bottom bottomN")
