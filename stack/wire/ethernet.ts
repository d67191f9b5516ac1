/** Ethernet II header (IEEE 802.3, clause 3; DIX) and the 802.1Q tag: offsets and ethertypes. */

export const ETHERNET_HEADER = 14;
export const ETHERNET_DESTINATION = 0;
export const ETHERNET_SOURCE = 6;
export const ETHERNET_TYPE = 12;
/** Bytes of an 802.1Q tag: it stands before the ethertype. */
export const VLAN_TAG = 4;
/** Smallest frame without FCS; shorter ones are padded with zeros. */
export const ETHERNET_MINIMUM = 60;

export const TYPE_IPV4 = 0x0800;
export const TYPE_ARP = 0x0806;
export const TYPE_VLAN = 0x8100;
export const TYPE_IPV6 = 0x86dd;
/** Service tag of 802.1ad. */
export const TYPE_QINQ = 0x88a8;
