// Values: what looks like one that must not be seen, whichever column or text it stands in.
export { compileDetectors, type Detector, type DetectorRule, DETECTORS, type Hiding } from './detector.ts'
export { likenessOf } from './classify.ts'
export { Found } from './found.ts'
export { count, HASH_CHARS, HIDDEN, type KeyedHash, partial, replacement, writeHidden } from './replace.ts'
export { DetectStream, HELD_BYTES_MAX } from './stream.ts'
