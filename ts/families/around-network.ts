import type { NetworkNeeds } from '../sampler/memory.ts'
import type { Network, NetworkCall, NetworkOutput } from '../sampler/network.ts'

/**
 * A network that does more around each evaluation of another one, and is that one in all else. But for `onDevice`: decisions made on the
 * GPU repeat the inner network's commands alone, without what is done around them.
 */
export abstract class AroundNetwork implements Network {
  protected readonly network: Network

  constructor(network: Network) {
    this.network = network
  }

  get guidance(): number {
    return this.network.guidance
  }

  get canPrune(): boolean {
    return this.network.canPrune
  }

  get tokens(): Network['tokens'] {
    return this.network.tokens
  }

  get stages(): Network['stages'] {
    return this.network.stages
  }

  get reusable(): Network['reusable'] {
    return this.network.reusable
  }

  plan(...given: Parameters<NonNullable<Network['plan']>>): NetworkNeeds {
    return this.network.plan!(...given)
  }

  abstract evaluate(call: NetworkCall): Promise<readonly NetworkOutput[]>
}
