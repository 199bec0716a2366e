/** The certificate of WebRTC in a data directory: `webrtc.pem`, key and certificate, mode 0600. Its hash stands in addresses, which should outlive a restart. Node only. */
import { createHash, createPrivateKey, webcrypto, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TransportCertificate } from '@libp2p/webrtc'
import { absentOr, writeAtomic } from './data-dir-files.ts'

const CERTIFICATE_FILE = 'webrtc.pem'
/** Who dials compares the hash and no date; the clock here may be years off. */
const NOT_BEFORE = new Date('2000-01-01T00:00:00Z')
const NOT_AFTER = new Date('2099-12-31T00:00:00Z')
/** What precedes a SHA-256 in a multihash. */
const SHA_256 = Buffer.of(0x12, 0x20)

/** The certificate in the data directory, made at first use or when it cannot be read; without a directory a new one. @param onTrouble told in a sentence. */
export async function loadWebRtcCertificate(
  dataDir: string | undefined,
  onTrouble: (message: string) => void
): Promise<TransportCertificate> {
  const path = dataDir === undefined ? undefined : join(dataDir, CERTIFICATE_FILE)
  const text = path === undefined ? undefined : await readFile(path, 'utf8').catch(absentOr)
  if (text !== undefined) {
    const stored = parse(text)
    if (stored !== undefined) return stored
    onTrouble(`${path} is damaged; it is made anew, and addresses with the hash of the old one are no longer good`)
  }
  const fresh = await generate()
  if (path !== undefined) await writeAtomic(path, fresh)
  return parse(fresh)!
}

function parse(text: string): TransportCertificate | undefined {
  const [privateKey, pem] = text.match(/-----BEGIN ([A-Z ]+)-----[^-]+-----END \1-----\n/g) ?? []
  if (privateKey === undefined || pem === undefined) return undefined
  try {
    const certificate = new X509Certificate(pem)
    if (!certificate.checkPrivateKey(createPrivateKey(privateKey))) return undefined
    const digest = createHash('sha256').update(certificate.raw).digest()
    return { privateKey, pem, certhash: `u${Buffer.concat([SHA_256, digest]).toString('base64url')}` }
  } catch {
    return undefined
  }
}

/** ECDSA over P-256, which all implementations have. */
async function generate(): Promise<string> {
  await import('reflect-metadata')
  const { PemConverter, X509CertificateGenerator } = await import('@peculiar/x509')
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned(
    { name: 'CN=atmosphere', notBefore: NOT_BEFORE, notAfter: NOT_AFTER, keys, signingAlgorithm: algorithm },
    webcrypto as Crypto
  )
  const key = PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY')
  return `${key.trim()}\n${certificate.toString('pem').trim()}\n`
}
